"""How an attempt ends: asked to stop, crashed, or swept away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from core.db.session import reading, transaction
from core.db.tables import AccountEntry, Attempt, Job
from core.errors import Conflict
from core.events import Stopped
from core.services import accounts, jobs, protocol, sweeping
from core.services.protocol import Control
from core.services.sweeping import Swept
from core.states import TERMINAL
from tests.support.training import FINISHED, PATIENT, House, row


class TestStops:
    def test_pause_and_resume(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        house.do(jobs.pause, job.id)
        assert house.job(job.id).pause_requested
        done = house.record(claim, row(1), house.checkpoint(1), Stopped("pause", 1, 1))
        assert done.status == "paused"
        assert house.claim() is None
        house.do(jobs.resume, job.id)
        again = house.take()
        assert again.resume is not None
        assert again.resume.step == 1
        assert not house.job(job.id).pause_requested
        assert house.steps(job.id) == [(1, 1)]

    def test_a_pause_that_was_taken_back(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        house.do(jobs.pause, job.id)
        house.do(jobs.resume, job.id)
        with reading(house.sessions) as session:
            assert protocol.controls(session, [claim]) == {job.id: Control(cancel=False, pause=False)}
        assert house.record(claim, Stopped("pause", 1, 1)).status == "queued"

    def test_cancel(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        house.do(jobs.cancel, job.id)
        house.do(jobs.cancel, job.id)
        assert house.record(claim, house.checkpoint(1), Stopped("cancel", 1, 1)).status == "cancelled"
        assert house.job(job.id).last_checkpoint

    def test_a_cancel_wins_over_a_pause(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        house.do(jobs.pause, job.id)
        house.do(jobs.cancel, job.id)
        assert house.record(claim, Stopped("pause", 1, 1)).status == "cancelled"

    def test_a_shutdown_hands_back_without_blame(self, house: House) -> None:
        job = house.submit()
        other = house.submit()
        for number in range(5):
            claim = house.take()
            assert claim.job_id == job.id, "it goes on before those that have not begun"
            assert house.record(claim, Stopped("shutdown", number, number)).status == "queued"
        with transaction(house.sessions) as session:
            assert protocol.hand_back(session, house.take()) == "queued"
        assert house.row(job.id).crashes == 0
        assert house.job(other.id).queue_position == 2

    def test_a_time_limit_fails(self, house: House) -> None:
        job = house.submit()
        assert house.record(house.take(), house.checkpoint(1), Stopped("time_limit", 1, 4)).status == "failed"
        error = house.job(job.id).error
        assert error is not None
        assert (error["code"], error["pointer"]) == ("time_limit", "/training/time_limit_s")

    def test_cancel_races_with_the_end(self, house: House) -> None:
        for number in range(15):
            job = house.submit()
            claim = house.take()

            def cancel(job_id: str = job.id) -> None:
                with suppress(Conflict):  # it was over already
                    house.do(jobs.cancel, job_id)

            with ThreadPoolExecutor(2) as threads:
                parts = [threads.submit(cancel), threads.submit(house.record, claim, row(1), FINISHED)]
                for part in parts[:: 1 if number % 2 else -1]:
                    part.result()
            view = house.job(job.id)
            assert view.status == "succeeded"
            assert len([t for t in view.transitions if t.status in TERMINAL]) == 1


class TestCrashes:
    def test_three_without_a_new_checkpoint_are_the_end(self, house: House) -> None:
        job = house.submit()
        assert [house.crash(house.take()) for _ in range(3)] == ["queued", "queued", "failed"]
        error = house.job(job.id).error
        assert error is not None
        assert error["code"] == "worker_lost"
        assert "3 times" in error["detail"]
        assert "signal 9" in error["detail"]
        assert house.claim() is None

    def test_a_new_checkpoint_makes_them_forgotten(self, house: House) -> None:
        house.submit()
        for step in range(1, 6):
            claim = house.take()
            house.record(claim, house.checkpoint(step))
            assert house.crash(claim) == "queued"
        assert house.crash(house.take()) == "queued"
        assert house.crash(house.take()) == "failed"

    def test_the_same_checkpoint_again_is_not_new(self, house: House) -> None:
        house.submit()
        outcomes = []
        for _ in range(4):
            claim = house.take()
            house.record(claim, house.checkpoint(1))
            outcomes.append(house.crash(claim))
            if outcomes[-1] == "failed":
                break
        assert outcomes == ["queued", "queued", "failed"]

    def test_back_off_grows(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        house.crash(claim, policy=PATIENT)
        assert house.claim() is None
        waiting = house.row(job.id)
        assert 79 < (waiting.not_before - waiting.changed_at).total_seconds() < 121
        with transaction(house.sessions) as session:
            session.get_one(Job, job.id).not_before = waiting.changed_at
        house.crash(house.take(), policy=PATIENT)
        waiting = house.row(job.id)
        assert 159 < (waiting.not_before - waiting.changed_at).total_seconds() < 241

    def test_what_the_user_asked_for_happens(self, house: House) -> None:
        first, second = house.submit(), house.submit()
        claims = [house.take(), house.take()]
        house.do(jobs.cancel, first.id)
        house.do(jobs.pause, second.id)
        assert [house.crash(claim) for claim in claims] == ["cancelled", "paused"]

    def test_a_restarted_worker_frees_what_it_held(self, house: House) -> None:
        mine, other = house.submit(), house.submit()
        house.take("worker-1", lease_s=1000)
        house.take("worker-2", lease_s=1000)
        with transaction(house.sessions) as session:
            assert sweeping.release_worker(session, "worker-1", policy=PATIENT) == [mine.id]
        assert house.take("worker-1").job_id == mine.id
        assert house.job(other.id).status == "running"

    def test_times_never_go_back(self, house: House) -> None:
        job = house.submit()
        with transaction(house.sessions) as session:
            session.get_one(Job, job.id).changed_at += timedelta(hours=1)
        house.record(house.take(), FINISHED)
        times = [t.time for t in house.job(job.id).transitions]
        assert times == sorted(times)
        assert (times[1] - times[0]).total_seconds() > 3500


class TestSweep:
    def test_a_living_lease_is_left_alone(self, house: House) -> None:
        house.submit()
        house.take()
        assert house.sweep() == Swept([], [], [])

    def test_a_dead_lease_is_ended_once(self, house: House) -> None:
        job = house.submit()
        house.take()
        house.expire(job.id)
        with ThreadPoolExecutor(4) as threads:
            swept = list(threads.map(lambda _: house.sweep(), range(4)))
        assert [job_id for one in swept for job_id in one.requeued] == [job.id]
        assert house.row(job.id).crashes == 1
        with reading(house.sessions) as session:
            attempt = session.get_one(Attempt, (job.id, 1))
        assert (attempt.outcome, attempt.reason) == ("crashed", "no sign of life from worker worker-1")

    def test_the_third_dead_lease_fails_the_job(self, house: House) -> None:
        job = house.submit()
        for _ in range(3):
            house.take()
            house.expire(job.id)
            swept = house.sweep()
        assert swept.failed == [job.id]

    def test_lost_wake_ups_are_sent_again(self, house: House) -> None:
        job = house.submit()
        assert house.sweep().wake == []
        with transaction(house.sessions) as session:
            session.get_one(Job, job.id).dispatched_at -= timedelta(seconds=31)
        assert house.sweep().wake == [job.id]
        assert house.sweep().wake == []


def test_a_clock_that_was_set_back_keeps_no_job_waiting(house: House) -> None:
    job = house.submit()
    claim = house.take()
    with transaction(house.sessions) as session:
        session.get_one(Job, job.id).changed_at += timedelta(hours=1)
    with transaction(house.sessions) as session:
        protocol.hand_back(session, claim)
    assert house.take().job_id == job.id


def test_seconds_of_every_attempt_count(house: House) -> None:
    job = house.submit()
    claim = house.take()
    with transaction(house.sessions) as session:
        session.get_one(Attempt, (job.id, 1)).started_at -= timedelta(seconds=100)
    house.record(claim, FINISHED)
    with reading(house.sessions) as session:
        before = accounts.accounts(session)["default"]
        assert before.seconds_trained == pytest.approx(100, abs=5)
    for _ in range(2):
        with transaction(house.sessions) as session:
            accounts.add_up(session)
    with reading(house.sessions) as session:
        assert accounts.accounts(session)["default"] == before
        assert session.scalar(select(func.count()).select_from(AccountEntry)) == 0


def test_who_ends_a_job_waits_for_nobody_else_who_does(house: House) -> None:
    """On PostgreSQL: two transactions that end jobs of one project, neither committed."""
    if house.sessions.kw["bind"].dialect.name != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    for _ in range(2):
        house.submit()
    one, two = house.take(), house.take()
    with transaction(house.sessions) as session:
        protocol.record(session, house.store, one, [FINISHED], batch=1)
        house.record(two, FINISHED)
        assert house.job(two.job_id).status == "succeeded"
    assert house.job(one.job_id).status == "succeeded"
