"""Workers, counts and accounts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.db.session import reading, transaction
from core.db.tables import Worker
from core.errors import Forbidden
from core.services import health, sweeping, usage, workers
from core.services.principal import LOCAL, Principal
from tests.support.training import FINISHED, House


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
