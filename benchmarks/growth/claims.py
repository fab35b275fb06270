"""Many workers, one queue: how long a claim takes, and that no job is claimed twice.

    .venv/bin/python -m benchmarks.growth.claims --database-url URL [--jobs 10000] [--workers 16] [--trains-s 0.3]

Each worker is a process with a connection of its own: it claims a job, "trains" it for a moment (asleep: the arithmetic
of 16 workers is not what is measured), records ten rows and finishes it. With `--trains-s 0` all claim as fast as they
can, and a claim waits for the processor more than for the database. The jobs are deleted afterwards.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from sqlalchemy import delete, func, select, text

from benchmarks.growth.figures import quantiles, save, timed_ms
from benchmarks.growth.make_big import BODY
from core.db.session import Sessions, make_engine, make_sessions, reading, transaction
from core.db.tables import Attempt, Job
from core.events import Finished, Metrics
from core.services import jobs, protocol
from core.services.claims import Claim
from core.services.principal import LOCAL
from core.spec.limits import Limits
from core.storage.database import DatabaseStore

QUEUE = "growth.claims"
_FINISHED = Finished(best_epoch=1, best_step=1, metrics={"test.accuracy": 0.97})
_ROWS = [Metrics(n, n, {"train.loss": 1.0 / n, "lr": 0.001}, (), 1.7e9 + n) for n in range(1, 11)]


def fill(sessions: Sessions, count: int) -> None:
    """Submits so many jobs to the queue."""
    for first in range(0, count, 100):
        with transaction(sessions) as session:
            for _ in range(first, min(first + 100, count)):
                jobs.submit(session, LOCAL, BODY, Limits(), queue=QUEUE)


def work(url: str, name: str, trains_s: float) -> tuple[list[str], list[float], list[float]]:
    """Works until the queue is empty: the jobs taken, and the milliseconds of each claim and of each end."""
    sessions = make_sessions(make_engine(url))
    store = DatabaseStore(sessions)
    chance = random.Random(name)
    taken: list[str] = []
    claims_ms: list[float] = []
    ends_ms: list[float] = []

    def take() -> Claim | None:
        with transaction(sessions) as session:
            return protocol.claim(session, worker_id=name, queue=QUEUE, lease_s=60)

    def finish(claim: Claim) -> None:
        with transaction(sessions) as session:
            protocol.record(session, store, claim, [*_ROWS, _FINISHED], batch=1)

    take_found: list[Claim | None] = []
    while True:
        spent = timed_ms(lambda: take_found.append(take()))
        claim = take_found.pop()
        if claim is None:
            return taken, claims_ms, ends_ms
        taken.append(claim.job_id)
        claims_ms.append(spent)
        # jobs differ: with equal ones all workers would come back at the same moment, again and again
        time.sleep(trains_s * chance.uniform(0.5, 1.5))
        ends_ms.append(timed_ms(lambda held=claim: finish(held)))  # type: ignore[misc]


def contest(url: str, *, workers: int, count: int, trains_s: float) -> dict[str, Any]:
    """Fills the queue and lets the workers empty it; fails when a job was claimed twice, or never."""
    sessions = make_sessions(make_engine(url))
    fill(sessions, count)
    with sessions.kw["bind"].connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) jobs"))
    began = time.perf_counter()
    with ProcessPoolExecutor(workers) as pool:
        found = list(pool.map(work, [url] * workers, [f"worker-{n}" for n in range(workers)], [trains_s] * workers))
    seconds = time.perf_counter() - began
    taken = Counter(job_id for ids, _, _ in found for job_id in ids)
    with reading(sessions) as session:
        mine = select(Job.id).where(Job.queue == QUEUE)
        attempts = session.scalar(select(func.count()).select_from(Attempt).where(Attempt.job_id.in_(mine)))
    assert len(taken) == count == attempts, f"{count} jobs, {len(taken)} claimed, {attempts} attempts"
    assert set(taken.values()) == {1}, "a job was claimed twice"
    with transaction(sessions) as session:
        session.execute(delete(Job).where(Job.queue == QUEUE))
    return {
        "jobs": count,
        "workers": workers,
        "trains_s": trains_s,
        "claimed_twice": 0,
        "jobs_a_second": round(count / seconds, 1),
        "claim_ms": quantiles(ms for _, claims, _ in found for ms in claims),
        "finish_ms": quantiles(ms for _, _, ends in found for ms in ends),
    }


def main() -> None:
    """Runs the contest, prints it, and writes its part of the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database-url", required=True)
    options.add_argument("--jobs", type=int, default=10_000)
    options.add_argument("--workers", type=int, default=16)
    options.add_argument("--trains-s", type=float, default=0.3)
    given = options.parse_args()
    figures = contest(given.database_url, workers=given.workers, count=given.jobs, trains_s=given.trains_s)
    print(figures)
    save("claims", f"{given.workers} workers, {given.trains_s} s", figures)


if __name__ == "__main__":
    main()
