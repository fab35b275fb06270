"""Who holds a job: claims, fences and leases, with real threads on both databases."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from sqlalchemy import func, select

from core.db.session import reading, transaction
from core.db.tables import Attempt
from core.errors import LostLease
from core.events import Stopped
from core.services import jobs, protocol
from core.services.protocol import Control
from core.states import TERMINAL
from tests.support.training import FINISHED, House, progress, row


class TestClaim:
    def test_nothing_waits(self, house: House) -> None:
        assert house.claim() is None

    def test_a_claim_says_all_that_a_runner_needs(self, house: House) -> None:
        job = house.submit()
        claim = house.take("worker-7", lease_s=12.0)
        assert (claim.job_id, claim.fence, claim.project, claim.resume) == (job.id, 1, "default", None)
        assert claim.spec == job.spec
        assert claim.schema["rows"] == 150
        assert (claim.data.name, claim.data.dataset_id, claim.data.sha256) == ("iris", None, None)
        held = house.row(job.id)
        assert (held.status, held.lease_owner, held.fence) == ("running", "worker-7", 1)
        assert held.lease_until is not None
        assert held.attempt_started_at is not None
        assert 11 < (held.lease_until - held.attempt_started_at).total_seconds() < 13
        view = house.job(job.id)
        assert [t.status for t in view.transitions] == ["queued", "running"]
        assert view.started_at == view.transitions[1].time
        assert (view.attempt, view.queue_position) == (1, None)

    def test_first_come_first_served(self, house: House) -> None:
        ids = [house.submit().id for _ in range(4)]
        assert [house.job(job_id).queue_position for job_id in ids] == [1, 2, 3, 4]
        assert [house.take().job_id for _ in ids] == ids
        assert house.claim() is None

    def test_each_queue_has_its_own_workers(self, house: House) -> None:
        house.submit()
        assert house.claim(queue="wake.gpu") is None
        assert house.claim() is not None

    def test_what_is_cancelled_or_paused_is_not_taken(self, house: House) -> None:
        house.do(jobs.cancel, house.submit().id)
        house.do(jobs.pause, house.submit().id)
        assert house.claim() is None

    def test_no_job_is_taken_twice(self, house: House) -> None:
        ids = {house.submit().id for _ in range(20)}
        barrier = Barrier(8)

        def worker(number: int) -> list[str]:
            barrier.wait()
            mine = []
            while claim := house.claim(f"worker-{number}"):
                mine.append(claim.job_id)
            return mine

        with ThreadPoolExecutor(8) as threads:
            taken = Counter(job_id for mine in threads.map(worker, range(8)) for job_id in mine)
        assert set(taken) == ids
        assert set(taken.values()) == {1}
        with reading(house.sessions) as session:
            assert session.scalar(select(func.count()).select_from(Attempt)) == 20

    def test_claimers_on_postgresql_do_not_wait_for_each_other(self, house: House) -> None:
        if house.sessions.kw["bind"].dialect.name != "postgresql":
            pytest.skip("SQLite has one writer at a time")
        first, second = house.submit().id, house.submit().id
        with transaction(house.sessions) as session:
            mine = protocol.claim(session, worker_id="slow", queue="wake.cpu", lease_s=30)
            assert mine is not None
            assert mine.job_id == first
            assert house.take("quick").job_id == second


class TestFence:
    def test_a_stale_worker_can_write_nothing(self, house: House) -> None:
        job = house.submit()
        old = house.take("old")
        house.expire(job.id)
        assert house.sweep().requeued == [job.id]
        with pytest.raises(LostLease):
            house.record(old, row(1))
        new = house.take("new")
        assert new.fence == old.fence + 1
        for number, event in enumerate([row(1), house.checkpoint(1), FINISHED, Stopped("pause", 1, 1), progress(1)]):
            with pytest.raises(LostLease):
                house.record(old, event, batch=number + 1)
        with pytest.raises(LostLease):
            house.crash(old)
        with pytest.raises(LostLease), transaction(house.sessions) as session:
            protocol.hand_back(session, old)
        with pytest.raises(LostLease), transaction(house.sessions) as session:
            protocol.reject_checkpoint(session, house.store, old, "ckpt_x")
        with transaction(house.sessions) as session:
            assert set(protocol.heartbeat(session, [old, new], 30)) == {job.id}
            assert protocol.heartbeat(session, [old], 30) == {}
        assert house.steps(job.id) == []
        house.record(new, FINISHED)
        assert house.job(job.id).status == "succeeded"

    def test_zombies_get_nowhere(self, house: House) -> None:
        """Workers that sleep beyond their lease while others take over: each job ends once, by its last fence."""
        ids = [house.submit().id for _ in range(12)]
        refused = []

        def worker(number: int) -> None:
            chance = random.Random(number)
            while any(house.row(job_id).status not in TERMINAL for job_id in ids):
                house.sweep()
                claim = house.claim(f"worker-{number}", lease_s=0.15)
                if claim is None:
                    time.sleep(0.01)
                    continue
                if chance.random() < 0.3:
                    time.sleep(0.4)
                try:
                    house.record(claim, row(claim.fence), house.checkpoint(claim.fence), batch=1)
                    house.record(claim, replace(FINISHED, best_epoch=claim.fence), batch=2)
                except LostLease:
                    refused.append(claim)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(worker, range(4)))
        for job_id in ids:
            job = house.row(job_id)
            ends = [t for t in house.job(job_id).transitions if t.status in TERMINAL]
            assert len(ends) == 1
            if job.status == "succeeded":
                assert job.result is not None
                assert job.result["best_epoch"] == job.fence
        assert all(claim.fence <= house.row(claim.job_id).fence for claim in refused)


class TestHeartbeat:
    def test_it_renews_and_brings_what_the_user_wants(self, house: House) -> None:
        first, second = house.submit(), house.submit()
        claims = [house.take(lease_s=1.0), house.take(lease_s=1.0)]
        house.do(jobs.cancel, first.id)
        house.do(jobs.pause, second.id)
        with transaction(house.sessions) as session:
            asked = protocol.heartbeat(session, claims, 1000.0)
        assert asked == {first.id: Control(cancel=True, pause=False), second.id: Control(cancel=False, pause=True)}
        with reading(house.sessions) as session:
            assert protocol.controls(session, claims) == asked
        lease = house.row(first.id).lease_until
        assert lease is not None
        assert (lease - house.row(first.id).changed_at).total_seconds() > 900

    def test_without_claims_nothing_is_asked(self, house: House) -> None:
        with transaction(house.sessions) as session:
            assert protocol.heartbeat(session, [], 30) == {}
            assert protocol.controls(session, []) == {}

    def test_a_deleted_or_finished_job_is_missing(self, house: House) -> None:
        house.submit()
        claim = house.take()
        house.record(claim, FINISHED)
        with reading(house.sessions) as session:
            assert protocol.controls(session, [claim]) == {}
