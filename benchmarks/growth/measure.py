"""What each request and each step of a worker costs on a database of this size.

    .venv/bin/python -m benchmarks.growth.measure --database-url URL [--repeats 300]

The database is one of `make_big`; what is submitted here is deleted again. Times are those of the services with their
transaction, without HTTP, one after the other: how they grow is the database's doing.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import text

from benchmarks.growth.figures import quantiles, save, timed_ms
from benchmarks.growth.make_big import BODY, LONG_EVERY
from core.db.session import Sessions, make_engine, make_sessions, reading, transaction
from core.errors import NotFound
from core.events import Finished, Metrics
from core.services import accounts, events, health, jobs, metrics, protocol, sweeping, usage
from core.services.claims import Claim
from core.services.principal import LOCAL, Principal
from core.spec.limits import Limits
from core.storage.database import DatabaseStore

QUEUE = "wake.cpu"
WAITING = 1000
_FINISHED = Finished(best_epoch=1, best_step=1, metrics={"test.accuracy": 0.97})
_POLICY = protocol.CrashPolicy()


def job_id(i: int) -> str:
    """The id that make_big gave its i-th job."""
    digest = hashlib.md5(str(i).encode(), usedforsecurity=False).hexdigest()
    return f"job_{1700000000000 + i * 1000:012x}7{digest[:3]}8{digest[-15:]}"


class Bench:
    """One database, and the operations that are timed on it."""

    def __init__(self, sessions: Sessions, size: int, repeats: int) -> None:
        self.sessions = sessions
        self.store = DatabaseStore(sessions)
        self.size = size
        self.repeats = repeats
        self.chance = random.Random(1)
        self.found: dict[str, dict[str, float]] = {}

    def a_job(self) -> tuple[Principal, str]:
        """Any job and somebody who may read it."""
        i = self.chance.randint(1, self.size)
        project = "default" if i % 10 < 8 else f"project-{i % 9}"
        return replace(LOCAL, project=project), job_id(i)

    def a_long_job(self) -> str:
        return job_id(self.chance.randint(1, self.size // LONG_EVERY) * LONG_EVERY)

    def read(self, name: str, action: Callable[..., object], *, times: int | None = None) -> None:
        """Times `action(session)`, each in a session of its own, after one call to warm up."""

        def once() -> None:
            with reading(self.sessions) as session:
                action(session)

        once()
        self.note(name, [timed_ms(once) for _ in range(times or self.repeats)])

    def note(self, name: str, samples_ms: list[float]) -> None:
        self.found[name] = quantiles(samples_ms)
        print(f"{name:34} {self.found[name]}", flush=True)

    def sweep(self) -> None:
        """What a sweeper does now and then, off the path of requests."""

        def once() -> None:
            with transaction(self.sessions) as session:
                usage.count_bytes(session)

        self.note("sweeper, hourly: bytes stored", [timed_ms(once)])
        with transaction(self.sessions) as session:
            accounts.add_up(session)

    def reads(self) -> None:
        """What users ask for."""
        self.read("list", lambda s: jobs.list_jobs(s, LOCAL))
        self.read("list, any page", lambda s: jobs.list_jobs(s, LOCAL, cursor=self.a_job()[1]))
        filters: list[dict[str, str]] = [
            {"status": "failed"},
            {"status": "running"},
            {"dataset": "wine"},
            {"dataset": "nowhere"},
            {"tag": "run=r7"},
            {"tag": "team=t3"},
            {"tag": "run=never"},
            {"tag": "run"},
            {"tag": "run=r7", "status": "failed"},
        ]
        for given in filters:
            name = "list, " + ", ".join(f"{key} {value}" for key, value in given.items())
            self.read(name, lambda s, given=given: jobs.list_jobs(s, LOCAL, **given), times=min(self.repeats, 100))
        self.read("get", lambda s: jobs.get(s, *self.a_job()))
        self.read("metrics, a usual job", lambda s: metrics.page(s, *self.a_job()))
        self.read("metrics, 1,000 of 5,000 rows", lambda s: self._metrics(s, after=2000))
        self.read("metrics, 5,000 rows as 500 points", lambda s: self._metrics(s, max_points=500), times=20)
        self.read("events", lambda s: events.page(s, *self.a_job()))
        self.read("/metrics: jobs by status", health.counts, times=20)
        self.read("/metrics: queues", health.queued)
        self.read("usage of all projects", lambda s: usage.by_project(s, LOCAL), times=3)

    def _metrics(self, session: Any, **options: Any) -> None:
        # every LONG_EVERY-th job is the default project's
        metrics.page(session, LOCAL, self.a_long_job(), **options)

    def writes(self) -> None:
        """What a worker does, with WAITING jobs in the queue; the jobs are gone afterwards."""
        samples: dict[str, list[float]] = {}

        def timed(name: str, work: Callable[..., Any]) -> Any:
            kept = []

            def once() -> None:
                with transaction(self.sessions) as session:
                    kept.append(work(session))

            samples.setdefault(name, []).append(timed_ms(once))
            return kept[0]

        made = [timed("submit", lambda s: jobs.submit(s, LOCAL, BODY, Limits())).id for _ in range(WAITING)]
        self.read("get, last of 1,000 in the queue", lambda s: jobs.get(s, LOCAL, made[-1]))
        self.read("list, 1,000 in the queue", lambda s: jobs.list_jobs(s, LOCAL))
        for _ in range(self.repeats):
            claim = timed("claim", lambda s: protocol.claim(s, worker_id="bench", queue=QUEUE, lease_s=60))
            self._run(timed, claim)
        timed("sweep", lambda s: sweeping.sweep(s, policy=_POLICY, republish_s=3600))
        timed("purge", lambda s: sweeping.purge(s, idempotency_ttl_s=1e9))
        for one in made:
            with suppress(NotFound), transaction(self.sessions) as session:
                if not jobs.get(session, LOCAL, one).terminal:
                    jobs.cancel(session, LOCAL, one)
        for one in made:
            timed("delete", lambda s, one=one: jobs.delete(s, self.store, LOCAL, one))
        samples["look for blobs without a use"] = [timed_ms(self.store.collect)]
        for name, taken in samples.items():
            self.note(name, taken)

    def _run(self, timed: Callable[..., Any], claim: Claim) -> None:
        rows = [Metrics(n, n, {"train.loss": 1.0 / n, "lr": 0.001}, (), 1.7e9 + n) for n in range(1, 11)]
        timed("heartbeat", lambda s: protocol.heartbeat(s, [claim], 60))
        timed("record 10 rows", lambda s: protocol.record(s, self.store, claim, rows, batch=1))
        timed("finish", lambda s: protocol.record(s, self.store, claim, [_FINISHED], batch=2))


def main() -> None:
    """Measures, prints, and writes its part of the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database-url", required=True)
    options.add_argument("--repeats", type=int, default=300)
    arguments = options.parse_args()
    engine = make_engine(arguments.database_url)
    with engine.connect() as connection:
        size = connection.scalar(text("SELECT count(*) FROM jobs WHERE name LIKE 'run %'"))
        rows = connection.scalar(text("SELECT cast(reltuples AS bigint) FROM pg_class WHERE relname = 'metrics'"))
        used = connection.scalar(text("SELECT pg_database_size(current_database())"))
    bench = Bench(make_sessions(engine), int(size or 0), arguments.repeats)
    bench.sweep()
    gc.collect()
    gc.freeze()  # as the API does after its start
    bench.reads()
    bench.writes()
    save("sizes", str(size), {"jobs": size, "rows": rows, "bytes": used, "ms": bench.found})


if __name__ == "__main__":
    main()
