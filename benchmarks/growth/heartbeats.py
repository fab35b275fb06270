"""What heartbeats and batches of rows do to the jobs' table: their bytes of WAL, and how many stay in their page.

    .venv/bin/python -m benchmarks.growth.heartbeats --database-url URL [--jobs 64] [--rounds 200]

An update is heap-only when no index has a column that it changes and its page has room: then it writes no index, and
what it leaves behind is cleared away by the next one, without a vacuum.
"""

from __future__ import annotations

import argparse
from typing import Any

from sqlalchemy import delete, text

from benchmarks.growth.claims import fill
from benchmarks.growth.figures import save
from core.db.session import Sessions, make_engine, make_sessions, transaction
from core.db.tables import Job
from core.events import Metrics, Progress
from core.services import protocol
from core.services.claims import Claim
from core.storage.database import DatabaseStore

QUEUE = "growth.claims"
_UPDATES = text("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'jobs'")


def held(sessions: Sessions, count: int) -> list[Claim]:
    """So many running jobs of one worker; what else waits in the queue stays there."""
    fill(sessions, count)
    claims = []
    for _ in range(count):
        with transaction(sessions) as session:
            claim = protocol.claim(session, worker_id="bench", queue=QUEUE, lease_s=600)
        assert claim is not None
        claims.append(claim)
    return claims


def beat(sessions: Sessions, claims: list[Claim], rounds: int) -> int:
    """Each round is a heartbeat for all and a batch of one row and its progress for each; how many updates."""
    store = DatabaseStore(sessions)
    for number in range(1, rounds + 1):
        with transaction(sessions) as session:
            protocol.heartbeat(session, claims, 600)
        row = Metrics(number, number, {"train.loss": 1.0 / number, "lr": 0.001}, (), 1.7e9 + number)
        with transaction(sessions) as session:
            reports = [
                protocol.Report(claim, [row, Progress(number, 20, number, 80, 1.0, 1e5)], number) for claim in claims
            ]
            protocol.record_many(session, store, reports)
    return 2 * rounds * len(claims)


def measure(url: str, jobs: int, rounds: int) -> dict[str, Any]:
    """The jobs are deleted afterwards."""
    engine = make_engine(url)
    sessions = make_sessions(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

        def seen() -> tuple[int, int, int, int]:
            connection.execute(text("SELECT pg_stat_force_next_flush()"))
            updates, hot = connection.execute(_UPDATES).one()
            wal = connection.scalar(text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))
            size = connection.scalar(text("SELECT pg_table_size('jobs')"))
            return int(updates), int(hot), int(wal or 0), int(size or 0)

        claims = held(sessions, jobs)
        engine.dispose()  # a connection tells its counts when it ends
        before = seen()
        made = beat(sessions, claims, rounds)
        engine.dispose()
        after = seen()
    with transaction(sessions) as session:
        session.execute(delete(Job).where(Job.queue == QUEUE))
    updates, hot, wal, grown = (b - a for a, b in zip(before, after, strict=True))
    return {
        "updates": updates,
        "heap_only_percent": round(100 * hot / max(updates, 1), 1),
        "wal_bytes_an_update": round(wal / made),
        "table_grown_by_bytes": grown,
    }


def main() -> None:
    """Measures, prints, and writes its part of the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database-url", required=True)
    options.add_argument("--jobs", type=int, default=64)
    options.add_argument("--rounds", type=int, default=200)
    given = options.parse_args()
    figures = measure(given.database_url, given.jobs, given.rounds)
    print(figures)
    save("heartbeats", f"{given.jobs} jobs", figures)


if __name__ == "__main__":
    main()
