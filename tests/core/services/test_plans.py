"""No request and no step of a worker reads a whole table: every statement has an index, and touches few rows.

On tables large enough for the planners to choose as they would among millions. SQLite does not say how many rows it
touches; there the plan alone is asserted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.db.migrate import upgrade
from core.db.session import make_engine, make_sessions, transaction
from core.db.tables import Job
from core.services import (
    accounts,
    checkpoints,
    datasets,
    events,
    health,
    jobs,
    metrics,
    protocol,
    sweeping,
    usage,
    watch,
)
from core.services.principal import LOCAL
from core.spec.limits import Limits
from core.storage.database import DatabaseStore
from tests.conftest import DATABASES
from tests.support import crowd
from tests.support.plans import Plans, explained
from tests.support.postgres import create_database, drop_database
from tests.support.training import AT_ONCE, FINISHED, House, body, progress, row

# a page has 50 rows or 1,000
FEW = 120
PAGE = 1_100


@pytest.fixture(scope="module", params=DATABASES)
def crowded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A database with 20,000 finished jobs, for all tests of this file."""
    folder = tmp_path_factory.mktemp("crowd")
    name = f"crowd_{uuid4().hex}"
    server = "" if request.param == "sqlite" else request.getfixturevalue("postgres")
    url = create_database(server, name) if server else f"sqlite:///{folder / 'netmill.db'}"
    upgrade(url)
    engine = make_engine(url)
    with engine.connect() as connection:
        # VACUUM runs in no transaction
        crowd.fill(connection.execution_options(isolation_level="AUTOCOMMIT") if server else connection)
        connection.commit()
    sessions = make_sessions(engine)
    with transaction(sessions) as session:
        accounts.recount(session)
    with transaction(sessions) as session:
        usage.count_bytes(session)
    yield House(sessions, DatabaseStore(sessions), folder)
    engine.dispose()
    if server:
        drop_database(server, name)


def plans_of(house: House, work: Callable[[Session], object]) -> Plans:
    with explained(house.sessions.kw["bind"]) as plans, transaction(house.sessions) as session:
        work(session)
    assert plans.explained
    return plans


LISTS: list[dict[str, str]] = [
    {},
    {"cursor": crowd.job_id(9_000)},
    {"status": "failed"},
    {"status": "running"},
    {"dataset": "iris"},
    {"dataset": "nowhere"},
    {"dataset": "mine"},
    {"dataset": crowd.DATASET, "cursor": crowd.job_id(15_000)},
    {"tag": "run=r7"},
    {"tag": "team=t1"},
    {"tag": "team"},
    {"tag": "run=never"},
    {"tag": "run=r7", "status": "failed"},
    {"dataset": "mine", "tag": "team", "status": "succeeded"},
]


@pytest.mark.parametrize("given", LISTS, ids=lambda given: "&".join(f"{k}={v[:12]}" for k, v in given.items()) or "all")
def test_lists(crowded: House, given: dict[str, str]) -> None:
    plans = plans_of(crowded, lambda session: jobs.list_jobs(session, LOCAL, **given))  # type: ignore[arg-type]
    assert plans.scans == []
    # two filters together cost what the rarer one finds
    assert plans.rows <= (FEW if len(given.keys() - {"cursor"}) < 2 else PAGE)


READS: dict[str, Callable[[Session], object]] = {
    "get": lambda s: jobs.get(s, LOCAL, crowd.job_id(11)),
    "metrics": lambda s: metrics.page(s, LOCAL, crowd.job_id(crowd.LONG), after=1_000),
    "metrics as text": lambda s: metrics.told(s, LOCAL, crowd.job_id(crowd.LONG), after=1_000),
    "events": lambda s: events.page(s, LOCAL, crowd.job_id(11)),
    "checkpoints": lambda s: checkpoints.list_checkpoints(s, LOCAL, crowd.job_id(11)),
    "a checkpoint": lambda s: checkpoints.choose(s, LOCAL, crowd.job_id(11), f"ckpt_{11:032x}"),
    "what waiters ask": lambda s: watch.heads(s, [crowd.job_id(i) for i in range(1, 100)]),
    "figures of jobs": health.counts,
    "usage": lambda s: usage.by_project(s, LOCAL),
    "figures of queues": health.queued,
    "data sets": lambda s: datasets.list_datasets(s, LOCAL),
}


@pytest.mark.parametrize("name", READS)
def test_reads(crowded: House, name: str) -> None:
    plans = plans_of(crowded, READS[name])
    assert plans.scans == []
    assert plans.rows <= PAGE


def test_a_job_from_submit_to_its_end(crowded: House) -> None:
    """Submit, wait in the queue, claim, heartbeat, record, checkpoint, crash, sweep, finish, delete."""
    house = crowded

    def step(work: Callable[[Session], Any]) -> Any:
        kept = []
        plans = plans_of(house, lambda session: kept.append(work(session)))
        assert plans.scans == []
        assert plans.rows <= FEW
        return kept[0]

    made = [step(lambda s: jobs.submit(s, LOCAL, body(tags={"run": "new"}), Limits())).id for _ in range(3)]
    assert step(lambda s: jobs.get(s, LOCAL, made[2])).queue_position == 3

    def claim() -> protocol.Claim:
        found = step(lambda s: protocol.claim(s, worker_id="w1", queue="wake.cpu", lease_s=30))
        assert found is not None
        return found  # type: ignore[no-any-return]

    first, second = claim(), claim()
    assert set(step(lambda s: protocol.heartbeat(s, [first, second], 30))) == set(made[:2])
    assert set(step(lambda s: protocol.controls(s, [first, second]))) == set(made[:2])
    reported = [row(1), progress(1), house.checkpoint(1), row(2), house.checkpoint(2)]
    step(lambda s: protocol.record(s, house.store, first, reported, batch=1))
    step(lambda s: protocol.crashed(s, first, "killed", policy=AT_ONCE))
    again = claim()
    assert again.resume is not None
    house.expire(second.job_id)
    assert step(lambda s: sweeping.sweep(s, policy=AT_ONCE, republish_s=30.0)).requeued == [second.job_id]
    assert step(lambda s: sweeping.release_worker(s, "w1", policy=AT_ONCE)) == [again.job_id]
    step(lambda s: protocol.record(s, house.store, claim(), [row(3), FINISHED], batch=1))
    step(lambda s: sweeping.purge(s, idempotency_ttl_s=1.0))
    step(lambda _: house.store.collect())
    step(accounts.add_up)
    step(lambda s: jobs.delete(s, house.store, LOCAL, made[0]))
    for job_id in made[1:]:
        step(lambda s, job_id=job_id: jobs.cancel(s, LOCAL, job_id))


def test_claims_read_the_front_of_the_queue(crowded: House) -> None:
    """One job, and one with company of its kind, among 300 of two kinds that wait."""
    with transaction(crowded.sessions) as session:
        for number in range(300):
            wide = {"layers": [{"type": "linear", "units": 5 + number % 2}]}
            jobs.submit(session, LOCAL, body(network=wide, training={"seed": number}), Limits(), queue="busy")
    who = {"worker_id": "w1", "queue": "busy", "lease_s": 30.0}
    for _ in range(5):
        plans = plans_of(crowded, lambda s: protocol.claim(s, **who))  # type: ignore[arg-type]
        assert (plans.scans, plans.rows <= FEW) == ([], True)
    taken: list[protocol.Claim] = []
    room = protocol.Room(most=16, memory_bytes=2**31, runners=2)
    plans = plans_of(crowded, lambda s: taken.extend(protocol.claim_together(s, **who, room=room)))  # type: ignore[arg-type]
    assert len(taken) == 16
    assert (plans.scans, plans.rows <= FEW) == ([], True)
    plans = plans_of(crowded, lambda s: protocol.heartbeat(s, taken, 30.0))
    assert (plans.scans, plans.rows <= FEW) == ([], True)


def test_a_scan_would_be_noticed(crowded: House) -> None:
    """The instrument itself: a query without an index is one of `scans`."""
    assert plans_of(crowded, lambda s: s.scalar(select(func.count()).where(Job.name == "x"))).scans
