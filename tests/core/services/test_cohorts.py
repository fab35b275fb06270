"""Jobs that are taken together: who, how many, each held by itself, and nobody twice."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select

from core.db.session import reading, transaction
from core.db.tables import Attempt, JobSpecs
from core.events import Failed, Stopped
from core.services import jobs, protocol, usage
from core.services.principal import LOCAL, Principal
from core.services.protocol import Report, Room
from core.services.sweeping import release_worker
from tests.support.training import AT_ONCE, FINISHED, PATIENT, QUEUE, House, row, started

OTHER = {"network": {"layers": [{"type": "linear", "units": 5}]}}


def burst(house: House, count: int, **more: Any) -> list[str]:
    return [house.submit(training={"seed": seed, "epochs": 3}, **more).id for seed in range(count)]


def weigh(house: House, job_id: str, **load: float) -> None:
    """Another estimate of what the job asks for."""
    with transaction(house.sessions) as session:
        specs = session.get_one(JobSpecs, job_id)
        specs.load = {**(specs.load or {}), **load}


class TestCompany:
    def test_what_may_ride_together_is_taken_together(self, house: House) -> None:
        ids = burst(house, 5)
        claims = house.board("worker-7", lease_s=12.0)
        assert [claim.job_id for claim in claims] == ids
        assert [claim.spec["training"]["seed"] for claim in claims] == [0, 1, 2, 3, 4]
        for claim in claims:
            held = house.row(claim.job_id)
            assert (held.status, held.lease_owner, held.fence, held.batch) == ("running", "worker-7", 1, 0)
            view = house.job(claim.job_id)
            assert view.cohort == {"size": 5}
            assert house.told(claim.job_id, "status")[-1] == {"status": "running", "attempt": 1}
            assert view.started_at == view.transitions[1].time
        assert house.board() == []

    def test_one_alone_has_no_company(self, house: House) -> None:
        (job_id,) = burst(house, 1)
        assert [claim.job_id for claim in house.board()] == [job_id]
        assert house.job(job_id).cohort is None

    def test_who_wants_no_company_gets_none(self, house: House) -> None:
        ids = burst(house, 2)
        assert [house.take().job_id for _ in ids] == ids

    def test_the_oldest_goes_first_whatever_its_kind(self, house: House) -> None:
        other = house.submit(**OTHER).id
        ids = burst(house, 3)
        late = house.submit(**OTHER).id
        assert [claim.job_id for claim in house.board()] == [other, late]
        assert [claim.job_id for claim in house.board()] == ids

    def test_the_rest_of_a_burst_waits_for_the_next_claim(self, house: House) -> None:
        ids = burst(house, 5)
        taken = [[claim.job_id for claim in house.board(room=Room(3, 1 << 30))] for _ in range(2)]
        assert taken == [ids[:3], ids[3:]]
        assert [house.job(job_id).cohort for job_id in ids] == [{"size": 3}] * 3 + [{"size": 2}] * 2

    def test_a_job_that_cannot_ride_is_taken_alone(self, house: House) -> None:
        first = house.submit(optimizer={"type": "lbfgs"}).id
        house.submit(optimizer={"type": "lbfgs"})
        assert [claim.job_id for claim in house.board()] == [first]

    def test_memory_bounds_a_cohort(self, house: House) -> None:
        ids = burst(house, 4)
        weigh(house, ids[0], memory_bytes=300)
        assert len(house.board(room=Room(64, 1000))) == 3
        assert len(house.board(room=Room(64, 0))) == 1

    def test_arithmetic_bounds_a_cohort(self, house: House) -> None:
        ids = burst(house, 4)
        weigh(house, ids[0], step_operations=2e7)
        assert len(house.board()) == 2

    def test_runners_that_wait_share_a_burst(self, house: House) -> None:
        burst(house, 9)
        room = Room(64, 1 << 30)
        sizes = [len(house.board(room=Room(room.most, room.memory_bytes, runners))) for runners in (3, 2, 1)]
        assert sizes == [3, 3, 3]

    def test_long_jobs_overtake_nobody(self, house: House) -> None:
        ids = burst(house, 3)
        other = house.submit(**OTHER).id
        late = burst(house, 2)
        for job_id in (*ids, *late):
            weigh(house, job_id, seconds=45.0)
        # one more minute of work is what the other is asked to wait
        assert [claim.job_id for claim in house.board()] == [*ids, late[0]]
        assert [claim.job_id for claim in house.board()] == [other]
        assert [claim.job_id for claim in house.board()] == [late[1]]

    def test_long_jobs_do_not_overtake_behind_a_short_one(self, house: House) -> None:
        """Epochs are each job's own: what the first asks for says nothing of the others."""
        (first,) = burst(house, 1)
        other = house.submit(**OTHER).id
        late = burst(house, 3)
        weigh(house, late[1], seconds=3600.0)
        assert [claim.job_id for claim in house.board()] == [first, late[0]]
        assert [claim.job_id for claim in house.board()] == [other]
        assert [claim.job_id for claim in house.board()] == late[1:]

    def test_long_jobs_ride_together_where_nobody_else_waits(self, house: House) -> None:
        ids = burst(house, 3)
        for job_id in ids:
            weigh(house, job_id, seconds=3600.0)
        assert len(house.board()) == 3


class TestWhoStays:
    def test_cancelled_and_paused_ones_stay(self, house: House) -> None:
        ids = burst(house, 4)
        house.do(jobs.cancel, ids[1])
        house.do(jobs.pause, ids[2])
        assert [claim.job_id for claim in house.board()] == [ids[0], ids[3]]
        house.do(jobs.resume, ids[2])
        assert [claim.job_id for claim in house.board()] == [ids[2]]

    def test_another_project_shares_no_process(self, house: House, stranger: Principal) -> None:
        ours = burst(house, 2)
        theirs = house.submit(stranger, training={"epochs": 3}).id
        assert [claim.job_id for claim in house.board()] == ours
        assert [claim.job_id for claim in house.board()] == [theirs]

    def test_one_that_took_its_runner_down_is_tried_alone(self, house: House) -> None:
        ids = burst(house, 4)
        first = house.board()
        for claim in first:
            house.crash(claim, "the runner was killed", AT_ONCE)
        assert {house.job(job_id).status for job_id in ids} == {"queued"}
        fresh = burst(house, 2)
        again = [house.board() for _ in range(5)]
        assert [len(claims) for claims in again] == [1, 1, 1, 1, 2]
        assert {claims[0].job_id for claims in again[:4]} == set(ids)
        assert [claim.job_id for claim in again[4]] == fresh
        assert house.job(ids[0]).cohort is None

    def test_one_whose_crash_is_behind_a_checkpoint_rides_again(self, house: House) -> None:
        ids = burst(house, 2)
        for claim in house.board():
            house.crash(claim)
        for claim in [house.take() for _ in ids]:
            house.record(claim, started(), house.checkpoint(1), Stopped("shutdown", 1, 1))
        assert {claim.job_id for claim in house.board()} == set(ids)

    def test_back_off_holds_for_each(self, house: House) -> None:
        burst(house, 2)
        first, second = house.board()
        house.crash(first, policy=PATIENT)
        house.record(second, started(), Stopped("shutdown", 0, 0))
        assert [claim.job_id for claim in house.board()] == [second.job_id]


class TestRecording:
    def test_each_reports_for_itself(self, house: House) -> None:
        burst(house, 3)
        claims = house.board()
        failed = Failed("diverged", "the loss is not finite")
        reports = [
            Report(claims[0], [started(), row(1), house.checkpoint(1), FINISHED], 1),
            Report(claims[1], [started(), row(1), failed], 1),
            Report(claims[2], [started(), row(1), row(2)], 1),
        ]
        with transaction(house.sessions) as session:
            recorded = protocol.record_many(session, house.store, reports)
        assert [found and found.status for found in recorded] == ["succeeded", "failed", "running"]
        assert [house.job(claim.job_id).status for claim in claims] == ["succeeded", "failed", "running"]
        assert [house.steps(claim.job_id) for claim in claims] == [[(1, 1)], [(1, 1)], [(1, 1), (2, 2)]]
        assert house.job(claims[0].job_id).cohort == {"size": 3}

    def test_a_lost_lease_is_the_loss_of_one(self, house: House) -> None:
        burst(house, 3)
        claims = house.board()
        house.expire(claims[1].job_id)
        house.sweep()
        newer = house.take("worker-2")
        reports = [Report(claim, [started(), row(1), FINISHED], 1) for claim in claims]
        with transaction(house.sessions) as session:
            recorded = protocol.record_many(session, house.store, reports)
        assert [found is None for found in recorded] == [False, True, False]
        assert [house.job(claim.job_id).status for claim in claims] == ["succeeded", "running", "succeeded"]
        assert house.steps(newer.job_id) == []

    def test_what_was_committed_is_not_written_again(self, house: House) -> None:
        burst(house, 2)
        claims = house.board()
        reports = [Report(claim, [started(), row(1), FINISHED], 1) for claim in claims]
        for _ in range(2):
            with transaction(house.sessions) as session:
                found = protocol.record_many(session, house.store, reports)
        assert [one and one.status for one in found] == ["succeeded", "succeeded"]
        assert house.steps(claims[0].job_id) == [(1, 1)]

    def test_seconds_are_shared_by_those_who_shared_a_process(self, house: House) -> None:
        burst(house, 4)
        claims = house.board()
        time.sleep(0.05)
        with transaction(house.sessions) as session:
            protocol.record_many(session, house.store, [Report(claim, [started(), FINISHED], 1) for claim in claims])
        with reading(house.sessions) as session:
            attempts = session.scalars(select(Attempt)).all()
            (account,) = usage.by_project(session, LOCAL)
        seconds = [(each.ended_at - each.started_at).total_seconds() for each in attempts if each.ended_at is not None]
        assert len(seconds) == 4
        assert account.seconds_trained == pytest.approx(sum(seconds) / 4)
        assert account.seconds_trained > 0.05

    def test_a_worker_that_died_frees_them_all(self, house: House) -> None:
        ids = burst(house, 3)
        house.board("worker-7")
        with transaction(house.sessions) as session:
            assert set(release_worker(session, "worker-7", policy=AT_ONCE)) == set(ids)
        assert [house.row(job_id).crashes for job_id in ids] == [1, 1, 1]


def test_no_job_is_taken_twice(house: House) -> None:
    ids = set(burst(house, 24))
    barrier = Barrier(6)

    def worker(number: int) -> list[str]:
        barrier.wait()
        mine: list[str] = []
        while claims := house.board(f"worker-{number}", room=Room(5, 1 << 30)):
            assert len(claims) <= 5
            mine += [claim.job_id for claim in claims]
        return mine

    with ThreadPoolExecutor(6) as threads:
        taken = Counter(job_id for mine in threads.map(worker, range(6)) for job_id in mine)
    assert set(taken) == ids
    assert set(taken.values()) == {1}
    assert {house.row(job_id).fence for job_id in ids} == {1}


def test_claimers_on_postgresql_do_not_wait_for_each_other(house: House) -> None:
    if house.sessions.kw["bind"].dialect.name != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    ids = burst(house, 6)
    with transaction(house.sessions) as session:
        room = Room(3, 1 << 30)
        mine = protocol.claim_together(session, worker_id="slow", queue=QUEUE, lease_s=30, room=room)
        assert [claim.job_id for claim in mine] == ids[:3]
        assert [claim.job_id for claim in house.board("quick")] == ids[3:]


def test_heartbeat_and_recording_do_not_wait_for_each_other(house: House) -> None:
    """Both lock many rows at once; in one order, or the database would have to break them up."""
    burst(house, 12)
    claims = house.board()
    barrier = Barrier(2)
    shuffler = random.Random(5)

    def beat() -> int:
        barrier.wait()
        for _ in range(15):
            order = shuffler.sample(claims, len(claims))
            with transaction(house.sessions) as session:
                assert len(protocol.heartbeat(session, order, 30.0)) == 12
        return 15

    def record() -> int:
        barrier.wait()
        for number in range(15):
            reports = [Report(claim, [row(number + 1)], number + 1) for claim in reversed(claims)]
            with transaction(house.sessions) as session:
                assert None not in protocol.record_many(session, house.store, reports)
        return 15

    with ThreadPoolExecutor(2) as threads:
        assert [task.result() for task in (threads.submit(beat), threads.submit(record))] == [15, 15]
