"""How many rows of a history one worker thread commits in a second: from the lines in a runner's pipe to the database.

    .venv/bin/python -m benchmarks.recording [--rows 200000] [--url postgresql://...]

The supervisor is the real one; its runner is replaced by a process that writes lines made before, as fast as they are
read. A row is what one step or epoch tells, whatever the number of its values; a point is one value, which is what
MLflow's `log_batch` and others count. Prints a line for each database, a median with the least and the greatest, and
writes JSON.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from benchmarks import results
from benchmarks.machine import circumstances
from core.db.migrate import upgrade
from core.db.session import Sessions, make_engine, make_sessions, reading, transaction
from core.events import Finished, Metrics, Started, to_line
from core.queue import Queue
from core.services import jobs, metrics, protocol
from core.services.principal import LOCAL
from core.spec.limits import Limits
from core.storage.database import DatabaseStore
from tests.support.postgres import create_database, postgres_server
from worker import posix
from worker.cache import FileCache
from worker.forks import Child, ForkServer
from worker.held import HeldJob
from worker.options import Options
from worker.supervisor import Supervisor
from worker.tools import Tools

SPEC: dict[str, Any] = {"data": {"dataset": "iris"}, "network": {"layers": [{"type": "linear", "units": 4}]}}
VALUES = {
    "train.loss": 0.1234567890123456,
    "train.accuracy": 0.9712345678901234,
    "train.gradient_norm": 1.2345678901234567,
    "validation.loss": 0.2345678901234567,
    "validation.accuracy": 0.9534567890123456,
    "lr": 0.001,
}


def lines(job_id: str, rows: int, values: dict[str, float]) -> Iterator[str]:
    """What a runner tells that records every step."""
    yield to_line(job_id, Started(100, rows, True, None, {}))
    for step in range(1, rows + 1):
        yield to_line(job_id, Metrics(step // 100, step, values, time=1.7e9 + step / 1000))
    yield to_line(job_id, Finished(None, None, {}))


@dataclass
class Teller:
    """In place of the fork server: its child is a process that copies a file into the pipe."""

    told: Path

    def fork(self, *_: object, **__: object) -> Child:
        ours, theirs = os.pipe()
        control = os.open(os.devnull, os.O_WRONLY)
        exits, nobody = os.pipe()
        process = subprocess.Popen(["/bin/cat", str(self.told)], stdout=theirs, start_new_session=True)
        os.close(theirs)
        os.close(nobody)
        return Child(process.pid, ours, control, exits)


@contextmanager
def house(database_url: str, folder: Path) -> Iterator[tuple[Sessions, Tools]]:
    upgrade(database_url)
    engine = make_engine(database_url)
    sessions = make_sessions(engine)
    store = DatabaseStore(sessions)
    options = Options(name="bench", folder=folder)
    queue = Queue(f"redis+socket://{folder}/none.sock")
    cache = FileCache(folder / "cache", store, 10**9)
    yield sessions, Tools(options, sessions, store, queue, cast(ForkServer, Teller(folder / "told")), cache)
    engine.dispose()


def once(sessions: Sessions, tools: Tools, rows: int, values: dict[str, float]) -> float:
    """Seconds from the first line in the pipe to the last commit, which ends the job."""
    with transaction(sessions) as session:
        job_id = jobs.submit(session, LOCAL, SPEC, Limits()).id
    cast(Teller, tools.forks).told.write_text("".join(line + "\n" for line in lines(job_id, rows, values)))
    with transaction(sessions) as session:
        claim = protocol.claim(session, worker_id="bench", queue=tools.options.queue, lease_s=60)
    assert claim is not None
    began = time.perf_counter()
    Supervisor(tools, [HeldJob(claim, tools.options, posix.boot_time())]).run()
    seconds = time.perf_counter() - began
    with reading(sessions) as session:
        job = jobs.get(session, LOCAL, job_id)
        found = metrics.page(session, LOCAL, job_id, after=rows - 1).data
    assert job.status == "succeeded", job.error
    assert [(row.seq, row.values) for row in found] == [(rows, values)]
    return seconds


def measure(database_url: str, rows: int, times: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, house(database_url, Path(folder)) as (sessions, tools):
        seconds = [once(sessions, tools, rows, VALUES) for _ in range(times)]
    rate = rows / statistics.median(seconds)
    return {
        "rows_per_s": round(rate),
        "points_per_s": round(rate * len(VALUES)),
        "least": round(rows / max(seconds)),
        "most": round(rows / min(seconds)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    options = results.options(__doc__)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--times", type=int, default=5)
    options.add_argument("--url", help="a PostgreSQL server; without it one is started for the measurement")
    given = options.parse_args(arguments)
    times = 2 if given.quick else given.times
    if given.url:
        os.environ["TEST_DATABASE_URL"] = given.url
    began = time.monotonic()
    figures: dict[str, Any] = circumstances()
    figures |= {"quick": given.quick, "values_per_row": len(VALUES)}
    with tempfile.TemporaryDirectory() as folder:
        figures["sqlite"] = measure(f"sqlite:///{folder}/netmill.db", given.rows, times)
    with postgres_server() as url:
        figures["postgresql"] = measure(create_database(url, "recording"), given.rows, times)
    for name in ("sqlite", "postgresql"):
        found = figures[name]
        spread = f"{found['least']:,} to {found['most']:,}"
        print(f"{name:12} {found['rows_per_s']:9,} rows/s ({spread})  {found['points_per_s']:9,} points/s")
    figures["seconds"] = round(time.monotonic() - began)
    results.write("recording", figures, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
