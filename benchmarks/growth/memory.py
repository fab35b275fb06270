"""Whether a worker grows: the memory of its process and of its zygote while it trains thousands of short jobs.

    .venv/bin/python -m benchmarks.growth.memory [--jobs 2000] [--every 100] [--together] [--database-url URL]

The worker is a real one with its broker, on the empty PostgreSQL database that is named, else on SQLite in a folder of
its own, of whose pages each connection keeps up to 16 MB. Each job, an epoch of digits, has its runner, or
with `--together` as many of them as a worker claims at once share some. Memory is the proportional set size
without the pages of files (libraries), whose share depends on what else runs on the machine. The slope is that of a
straight line through the last two fifths of the readings, when Celery's memory of the last thousand messages is full.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import func, select

from benchmarks.growth.figures import save
from core.db.migrate import upgrade
from core.db.session import reading
from core.db.tables import Job
from core.states import Status
from tests.support.house import House, make_house
from tests.support.valkey import Valkey

_SHORT: dict[str, Any] = {
    "data": {"dataset": "digits"},
    "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]},
}


def read(house: House, done: int) -> dict[str, float]:
    """MiB of the worker's process and of its zygote, and the files that the worker has open."""
    worker = house.workers[0]
    sizes = {"worker": own(worker.pid), "zygote": own(worker.one("zygote"))}
    return {"jobs": done, **sizes, "files": psutil.Process(worker.pid).num_fds()}


def own(pid: int) -> float:
    """MiB of a process' own memory; a page that n processes share counts as the n-th part of one."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (kib,) = (int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
    return round(kib / 1024, 2)


def finished(house: House) -> int:
    with reading(house.sessions) as session:
        return session.scalar(select(func.count()).where(Job.status == Status.SUCCEEDED)) or 0


def run(jobs: int, every: int, database_url: str | None = None, *, together: bool = False) -> list[dict[str, float]]:
    """Readings after each `every` jobs."""
    readings = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = database_url or f"sqlite:///{folder / 'netmill.db'}"
        upgrade(url)
        broker = Valkey()
        broker.start()
        house = make_house(folder, url, broker)
        try:
            house.start(NETMILL_COHORT_MAX="64" if together else "1")
            for first in range(0, jobs, every):
                seeds = range(first, first + every)
                house.submit_all([{**_SHORT, "training": {"epochs": 1, "seed": seed}} for seed in seeds])
                wait(house, first + every)
                readings.append(read(house, first + every))
                print(readings[-1], flush=True)
        finally:
            house.close()
            broker.close()
    return readings


def wait(house: House, count: int) -> None:
    """Returns when so many jobs have succeeded; fails when none does for a minute."""
    known, since = -1, time.monotonic()
    while (done := finished(house)) < count:
        if done > known:
            known, since = done, time.monotonic()
        if time.monotonic() - since > 60:
            raise SystemExit(
                f"{done} of {count} jobs have succeeded and none in the last minute:\n{house.logs()[-3000:]}"
            )
        time.sleep(0.1)


def slope(readings: list[dict[str, float]], of: str) -> float:
    """MiB (or files) more after a thousand jobs more."""
    late = readings[len(readings) * 3 // 5 :]
    return round(1000 * statistics.linear_regression([r["jobs"] for r in late], [r[of] for r in late]).slope, 3)


def main() -> None:
    """Runs, prints, and writes its part of the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=2000)
    options.add_argument("--every", type=int, default=100)
    options.add_argument("--together", action="store_true")
    options.add_argument("--database-url")
    given = options.parse_args()
    readings = run(given.jobs, given.every, given.database_url, together=given.together)
    slopes: dict[str, Any] = {f"{of}_per_1000_jobs": slope(readings, of) for of in ("worker", "zygote", "files")}
    print(slopes)
    database = "PostgreSQL" if given.database_url else "SQLite"
    company = ", together" if given.together else ""
    save("memory", f"{given.jobs} jobs on {database}{company}", {**slopes, "readings": readings})


if __name__ == "__main__":
    main()
