"""The only commit, on both databases, with threads that get in each other's way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, PendingRollbackError
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.db.session import Sessions, is_passing, make_engine, make_sessions, now, reading, retrying, transaction
from core.db.tables import Project, Worker
from core.db.upsert import insert_new, upsert


def add_project(session: Session, name: str) -> None:
    session.add(Project(name=name, created_at=now(session), seconds_trained=0.0))


def names(sessions: Sessions) -> set[str]:
    with reading(sessions) as session:
        return set(session.scalars(select(Project.name)))


def test_a_block_that_ends_is_committed_and_one_that_raises_is_not(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        add_project(session, "one")

    def fail() -> None:
        with transaction(sessions) as session:
            add_project(session, "two")
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(sessions) == {"default", "one"}


def test_reading_commits_nothing(sessions: Sessions) -> None:
    with reading(sessions) as session:
        add_project(session, "lost")
        session.flush()
    assert names(sessions) == {"default"}


def test_a_commit_that_fails_raises(sessions: Sessions) -> None:
    with pytest.raises(IntegrityError), transaction(sessions) as session:
        add_project(session, "default")


def test_reading_waits_for_no_writer(sessions: Sessions) -> None:
    with transaction(sessions) as writer:
        add_project(writer, "one")
        writer.flush()
        assert names(sessions) == {"default"}
    assert names(sessions) == {"default", "one"}


def test_writers_queue_up(sessions: Sessions) -> None:
    def add_second(_: int) -> None:
        with transaction(sessions) as session:
            seconds = session.scalar(select(Project.seconds_trained).where(Project.name == "default").with_for_update())
            session.get_one(Project, "default", populate_existing=True).seconds_trained = (seconds or 0.0) + 1.0

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add_second, range(80)))
    with reading(sessions) as session:
        assert session.scalar(select(Project.seconds_trained)) == 80.0


def test_sqlite_is_durable_and_checks_references(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    with engine.connect() as connection:
        found = {
            name: connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")
        }
        assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
        assert connection.scalar(text("PRAGMA busy_timeout")) >= 5000
    engine.dispose()


def test_the_clock_is_the_databases_and_has_a_zone(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        first = now(session)
        assert first.tzinfo is not None
        assert abs(first - utc_now()) < timedelta(seconds=5)
    with transaction(sessions) as session:
        assert now(session) >= first


def test_moments_come_back_as_they_went(sessions: Sessions) -> None:
    moment = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=2)))
    with transaction(sessions) as session:
        session.add(Project(name="then", created_at=moment, seconds_trained=0.0))
    with reading(sessions) as session:
        found = session.get_one(Project, "then").created_at
        assert found == moment
        assert found.tzinfo == UTC
    with pytest.raises(Exception, match="without a zone"), transaction(sessions) as session:
        session.add(Project(name="naive", created_at=datetime(2026, 3, 1), seconds_trained=0.0))  # noqa: DTZ001


def test_retrying_does_it_again_after_a_lost_connection(sessions: Sessions, database_url: str) -> None:
    tries = 0

    def work(session: Session) -> int:
        nonlocal tries
        tries += 1
        add_project(session, f"try {tries}")
        session.flush()
        if tries < 3:
            raise OperationalError("lost", None, Exception("gone"), connection_invalidated=True)
        return tries

    assert retrying(sessions, work, first_wait_s=0.001) == 3
    assert names(sessions) == {"default", "try 3"}


def test_retrying_gives_up_in_the_end_and_at_once_where_it_is_no_use(sessions: Sessions) -> None:
    tries = []

    def unlucky(_: Session) -> None:
        tries.append(1)
        raise OperationalError("lost", None, Exception("gone"), connection_invalidated=True)

    with pytest.raises(OperationalError):
        retrying(sessions, unlucky, tries=3, first_wait_s=0.001)
    assert len(tries) == 3

    def wrong(session: Session) -> None:
        tries.append(1)
        add_project(session, "default")
        session.flush()

    with pytest.raises(IntegrityError):
        retrying(sessions, wrong)
    assert len(tries) == 4


def test_a_deadlock_passes(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    sessions = make_sessions(engine)
    with transaction(sessions) as session:
        add_project(session, "a")
        add_project(session, "b")

    def lock_both(order: str) -> None:
        def work(session: Session) -> None:
            for name in order:
                session.execute(select(Project.name).where(Project.name == name).with_for_update())
                session.execute(text("SELECT pg_sleep(0.05)"))

        retrying(sessions, work)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lock_both, ["ab", "ba"]))
    engine.dispose()


def test_a_busy_sqlite_passes(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    impatient = make_engine(f"{sqlite_url}?timeout=0")
    event.listen(impatient, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=0"))
    with transaction(make_sessions(engine)) as session:
        add_project(session, "one")
        session.flush()
        with pytest.raises(OperationalError) as caught, transaction(make_sessions(impatient)) as other:
            now(other)
    assert is_passing(caught.value)
    engine.dispose()
    impatient.dispose()


def test_insert_new_and_upsert(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        row = {"name": "one", "created_at": now(session), "seconds_trained": 1.0}
        assert insert_new(session, Project, row)
        assert not insert_new(session, Project, {**row, "seconds_trained": 2.0})
        worker = {"id": "w", "queue": "q", "slots": 1, "started_at": now(session), "seen_at": now(session), "info": {}}
        upsert(session, Worker, worker, update=("slots",))
        upsert(session, Worker, {**worker, "slots": 3, "queue": "other"}, update=("slots",))
    with reading(sessions) as session:
        assert session.scalar(select(func.max(Project.seconds_trained))) == 1.0
        assert [(w.slots, w.queue) for w in session.scalars(select(Worker))] == [(3, "q")]


def test_a_reading_session_sees_one_state_until_it_ends(sessions: Sessions) -> None:
    with reading(sessions) as session:
        before = set(session.scalars(select(Project.name)))
        with transaction(sessions) as other:
            add_project(other, "meanwhile")
        assert set(session.scalars(select(Project.name))) == before
    assert names(sessions) == before | {"meanwhile"}


def test_threads_of_one_process_write_in_turn_and_none_starves(sqlite_url: str) -> None:
    """SQLite's own waiting lets newcomers pass: some of sixteen writers waited for seconds, and gave up after ten."""
    engine = make_engine(sqlite_url, pool_size=16)
    sessions = make_sessions(engine)
    written: list[int] = []

    def write(writer: int) -> None:
        for n in range(10):
            with transaction(sessions) as session:
                add_project(session, f"p-{writer}-{n}")
                session.flush()
                written.append(writer)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(write, range(16)))
    assert len(names(sessions)) == 161
    # the last one to begin had its turn before anybody had all of his
    assert {written.index(writer) for writer in range(16)} <= set(range(150))
    engine.dispose()


def test_a_turn_is_given_back_however_a_transaction_ends(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    sessions = make_sessions(engine)

    def fail() -> None:
        with transaction(sessions) as session:
            add_project(session, "one")
            session.flush()
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            fail()
        with pytest.raises(PendingRollbackError), transaction(sessions) as session:
            session.connection().invalidate()
        with reading(sessions) as session:
            session.scalar(select(func.count()).select_from(Project))
    with transaction(sessions) as session:
        add_project(session, "two")
    assert names(sessions) == {"default", "two"}
    engine.dispose()
