"""Connections and the only commit.

SQLite: WAL, every writing transaction begins with BEGIN IMMEDIATE (a deferred one that writes later gets SQLITE_BUSY
whatever the timeout), synchronous=FULL so that what was answered survives a power cut. PostgreSQL: psycopg, with
timeouts on everything that could wait for ever.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from core.clock import utc_now
from core.db.types import UtcTime, Written

Sessions = sessionmaker[Session]
T = TypeVar("T")

_BUSY_TIMEOUT_S = 10
_TURN = "netmill_turn"
# SQLite's readers see one state until they end, PostgreSQL's one for each statement unless they ask for more
_SNAPSHOT: dict[str, dict[str, Any]] = {
    "sqlite": {"netmill_read_only": True},
    "postgresql": {"isolation_level": "REPEATABLE READ"},
}
_CLOCK = select(func.clock_timestamp(type_=UtcTime()))
# serialization failure, deadlock, lock timeout, the server shutting down or not yet up
_PASSING_SQLSTATES = ("40001", "40P01", "55P03", "57P01", "57P02", "57P03")
_POSTGRES_OPTIONS = (
    "-c timezone=UTC -c statement_timeout=60000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000"
)


def make_engine(database_url: str, *, pool_size: int = 5) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://...`; connects at first use."""
    url = make_url(database_url)
    options: dict[str, Any] = {
        "json_serializer": _text_of,
        "pool_size": pool_size,
        "max_overflow": pool_size,
        "pool_timeout": 10,
        # users' data must not stand in tracebacks
        "hide_parameters": True,
    }
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False}, **options)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "do_execute", _in_bulk)
        _take_turns(engine)
        return engine
    arguments = {"connect_timeout": 5, "options": _POSTGRES_OPTIONS, "keepalives_idle": 10, "keepalives_interval": 5}
    arguments |= {"keepalives_count": 3, "tcp_user_timeout": 15000}
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args=arguments,
        pool_pre_ping=True,
        pool_recycle=1800,
        **options,
    )
    event.listen(engine, "do_execute", _in_bulk)
    return engine


def _text_of(value: object) -> str:
    """A document as its column holds it."""
    if isinstance(value, Written):
        return value.text
    return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)


def written(document: dict[str, Any]) -> Written:
    """The document with its text, for one that many rows hold."""
    known = Written(document)
    known.text = _text_of(document)
    return known


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # sqlite3 begins nothing by itself: _begin_sqlite does
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA cache_size=-16000")
    cursor.close()


def _take_turns(engine: Engine) -> None:
    """Begins transactions, and lets the threads of this process write one after the other.

    SQLite has one writer; who finds it taken sleeps and tries again, ever longer, and whoever comes just then goes
    first: of sixteen threads that write all the time some waited for two seconds. Here each waits for a lock, and
    SQLite's own way is left for other processes.
    """
    turn = threading.Lock()

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("netmill_read_only", False):
            connection.exec_driver_sql("BEGIN")
            return
        # in vain after so long: then SQLite says what it says of a database that is locked
        connection.info[_TURN] = turn.acquire(timeout=_BUSY_TIMEOUT_S)
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def end(_: object, record: PoolProxiedConnection | ConnectionPoolEntry) -> None:
        if record.info.pop(_TURN, False):
            turn.release()

    event.listen(engine, "begin", begin)
    event.listen(engine, "checkin", end)


def _in_bulk(cursor: Any, statement: str, parameters: Any, context: Any) -> bool | None:
    """Executes a statement for all that its one parameter yields: rows on SQLite, pieces of COPY's text on PostgreSQL.

    They are made as the database takes them, and its faults are told as all others are.
    """
    if not context.execution_options.get("netmill_bulk", False):
        return None
    if context.dialect.name == "sqlite":
        cursor.executemany(statement, parameters[0])
        return True
    with cursor.copy(statement) as copy:
        for piece in parameters[0]:
            copy.write(piece)
    return True


def make_sessions(engine: Engine) -> Sessions:
    """What `transaction` and `reading` take; objects stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def transaction(sessions: Sessions) -> Iterator[Session]:
    """A session whose work is committed when the block ends and rolled back when it raises: the only commit."""
    with sessions() as session:
        try:
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise


@contextmanager
def reading(sessions: Sessions) -> Iterator[Session]:
    """A session for reading alone: one snapshot of the database; it waits for no writer, and is never committed."""
    with sessions() as session:
        session.connection(execution_options=_SNAPSHOT[session.get_bind().dialect.name])
        yield session  # closing it rolls back, and unlike rollback() leaves what was read readable


def retrying(sessions: Sessions, work: Callable[[Session], T], *, tries: int = 5, first_wait_s: float = 0.05) -> T:
    """What `work` returns, done in one transaction and again after a lost connection, a deadlock or a busy database.

    A connection lost during COMMIT leaves open whether it was committed, so `work` must be one that may run twice.
    """
    for attempt in range(tries):
        try:
            with transaction(sessions) as session:
                return work(session)
        except DBAPIError as error:
            if attempt == tries - 1 or not is_passing(error):
                raise
            time.sleep(first_wait_s * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, not a secret
    raise AssertionError("tries must be at least 1")


def is_passing(error: DBAPIError) -> bool:
    """True for a fault of the moment, after which the same transaction may succeed."""
    if error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _PASSING_SQLSTATES:
        return True
    if not isinstance(error, OperationalError):
        return False
    sqlstate = getattr(error.orig, "sqlstate", None)
    code = getattr(error.orig, "sqlite_errorname", "")
    return sqlstate is None if not code else code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def now(session: Session) -> datetime:
    """The database's clock, read once a transaction; SQLite's is this host's.

    A lease counted from the beginning of its transaction is at most too short, never too long.
    """
    connection = session.connection()
    known: tuple[object, datetime] | None = session.info.get("now")
    if known is None or known[0] is not session.get_transaction():
        sqlite = connection.dialect.name == "sqlite"
        moment = utc_now() if sqlite else connection.execute(_CLOCK).scalar_one()
        known = (session.get_transaction(), moment)
        session.info["now"] = known
    return known[1]
