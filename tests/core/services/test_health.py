"""Workers, counts and accounts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from core.db.session import now, reading, transaction
from core.db.tables import Project, Worker
from core.errors import Forbidden
from core.events import Failed
from core.services import accounts, health, jobs, sweeping, usage, workers
from core.services.principal import LOCAL, Principal
from tests.support.training import FINISHED, House, row


def test_workers_come_and_go(house: House) -> None:
    with transaction(house.sessions) as session:
        health.ping(session)
        assert health.at_head(session)
        assert health.workers(session) == []
        for slots in (1, 2):
            workers.seen(session, "w1", queue="wake.cpu", slots=slots, info={"host": "here"})
        workers.seen(session, "w2", queue="wake.cpu", slots=1, info={})
    with transaction(house.sessions) as session:
        assert [(w.id, w.slots) for w in health.workers(session)] == [("w1", 2), ("w2", 1)]
        workers.left(session, "w2")
        session.get_one(Worker, "w1").seen_at -= timedelta(seconds=31)
    with transaction(house.sessions) as session:
        assert health.workers(session) == []
        assert [w.id for w in health.workers(session, within_s=60)] == ["w1"]
        session.get_one(Worker, "w1").seen_at -= timedelta(days=2)
        session.flush()
        sweeping.purge(session, idempotency_ttl_s=1.0)
        assert health.workers(session, within_s=1e6) == []


def test_counts(house: House) -> None:
    house.submit()
    house.submit()
    house.record(house.take(), FINISHED)
    with reading(house.sessions) as session:
        counts = health.counts(session)
        assert health.queued(session) == {"wake.cpu": 1}
    assert (counts["queued"], counts["succeeded"], counts["failed"]) == (1, 1, 0)
    assert set(counts) == {"queued", "running", "paused", "succeeded", "failed", "cancelled"}


def test_counts_follow_every_way_to_an_end_and_back(house: House, stranger: Principal) -> None:
    done, cancelled, deleted, failed = (house.submit().id for _ in range(4))
    theirs = house.submit(stranger).id
    house.do(jobs.cancel, cancelled)
    for job_id in (done, deleted):
        claim = house.take()
        assert claim.job_id == job_id
        house.record(claim, row(1), house.checkpoint(1), FINISHED)
    house.record(house.take(), Failed("diverged", "the loss is not finite"))
    house.do(jobs.cancel, theirs, principal=stranger)

    def told() -> dict[str, int]:
        with reading(house.sessions) as session:
            return {status: n for status, n in health.counts(session).items() if n}

    assert told() == {"succeeded": 2, "failed": 1, "cancelled": 2}
    with transaction(house.sessions) as session:
        jobs.delete(session, house.store, LOCAL, deleted)
        jobs.continue_(session, LOCAL, done, 1, house.limits)
    assert told() == {"queued": 1, "failed": 1, "cancelled": 2}
    house.do(jobs.pause, done)
    with transaction(house.sessions) as session:
        accounts.recount(session)
    assert told() == {"paused": 1, "failed": 1, "cancelled": 2}
    assert house.job(failed).status == "failed"


def test_what_an_older_version_did_not_count_is_counted(house: House) -> None:
    house.do(jobs.cancel, house.submit().id)
    with transaction(house.sessions) as session:
        session.execute(update(Project).values(jobs_cancelled=0, jobs_failed=7))
    with transaction(house.sessions) as session:
        accounts.recount(session)
    with reading(house.sessions) as session:
        counts = health.counts(session)
    assert (counts["cancelled"], counts["failed"]) == (1, 0)


def test_bytes_of_many_checkpoints_are_counted_now_and_then(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> int:
        with reading(house.sessions) as session:
            (account,) = usage.by_project(session, LOCAL)
        return account.bytes_stored

    def count() -> None:
        with transaction(house.sessions) as session:
            usage.count_bytes(session)

    def train(content: bytes) -> None:
        house.submit()
        house.record(house.take(), house.checkpoint(1, content=content), FINISHED)

    train(b"12345")
    first = told()
    count()
    with reading(house.sessions) as session:
        assert session.scalar(select(Project.bytes_counted_at)) is None, "few are counted when somebody asks"
    monkeypatch.setattr(usage, "MANY", 2)
    train(b"1234567")
    assert told() == first + 7, "nothing was counted yet"
    count()
    train(b"123")
    count()
    assert told() == first + 7, "it was counted within the hour"
    with transaction(house.sessions) as session:
        session.execute(update(Project).values(bytes_counted_at=now(session) - timedelta(hours=2)))
    count()
    assert told() == first + 7 + 3


def test_accounts(house: House, stranger: Principal) -> None:
    for who in (LOCAL, stranger):
        house.submit(who)
        house.record(house.take(), house.checkpoint(1, content=b"shared"), FINISHED)
    house.submit()
    house.record(house.take(), house.checkpoint(1, content=b"shared"), FINISHED)
    with reading(house.sessions) as session:
        found = {one.project: one for one in usage.by_project(session, LOCAL)}
    assert {name: one.jobs for name, one in found.items()} == {"default": 2, "other": 1}
    assert {one.bytes_stored for one in found.values()} == {len(b"shared") + len(b"state 1")}
    assert all(one.seconds_trained > 0 for one in found.values())
    with pytest.raises(Forbidden), reading(house.sessions) as session:
        usage.by_project(session, Principal("default", frozenset({"write"})))
