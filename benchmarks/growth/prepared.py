"""What a second runner on large data saves: its time to the first step, and the memory that it shares.

    .venv/bin/python -m benchmarks.growth.prepared [--rows 1000000] [--times 5]

A table of 28 columns. Runners are processes that are forked as a worker forks them, with one thread; each is measured
from its order to the end of its first optimizer step. The first prepares and leaves files, the second opens them while
the first lives; both are compared with a runner that keeps nothing. Memory is what stands in /proc/PID/smaps_rollup
at the first step: Pss counts a page that two processes share as half of one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.growth.figures import save
from core.data.contents import TableContents
from core.data.table import StoredColumn, write_table
from core.events import Metrics, from_line
from core.spec.dataset import DatasetSchema
from core.spec.limits import Limits
from core.spec.plan import check_job
from worker.forks import Child, ForkServer

_COLUMNS = 28
_BODY: dict[str, Any] = {
    "data": {"dataset": "table", "target": "y"},
    "task": "classification",
    "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]},
    "training": {"epochs": 1000, "batch_size": 256, "device": "cpu"},
    "monitor": {"every_steps": 1},
}


def table(folder: Path, rows: int) -> tuple[Path, DatasetSchema]:
    """A table of normal numbers and a class, as it is stored."""
    draw = np.random.default_rng(0)
    columns = [StoredColumn(f"x{n}", "float", draw.normal(size=rows).astype(np.float32)) for n in range(_COLUMNS)]
    columns.append(StoredColumn("y", "integer", (draw.random(rows) > 0.5).astype(np.int8)))
    path = folder / f"table-{rows}"
    write_table(path, columns)
    schema, _, _ = TableContents(columns).describe()
    return path, DatasetSchema.model_validate(schema)


class Runners:
    """Runners of one worker, each with an order for the same data."""

    def __init__(self, folder: Path, forks: ForkServer, path: Path, schema: DatasetSchema) -> None:
        self._folder, self._forks = folder, forks
        spec = check_job(_BODY, lambda _: schema, Limits()).spec
        self._job: dict[str, Any] = {
            "job": "job_1",
            "spec": spec.model_dump(mode="json"),
            "schema": None,
            "changes": [],
            "resume": None,
        }
        self._terms = {
            "data": {"path": str(path), "builtin": None, "parameters": None},
            "schema": schema.model_dump(mode="json"),
            "checkpoint_every_s": 30.0,
            "threads": 1,
            "memory_bytes": 0,
        }

    def started(self, stack: ExitStack, shelf: Path, max_bytes: int) -> tuple[float, dict[str, float]]:
        """(seconds from the order to the end of the first step, MiB of its memory then); it lives as the stack does."""
        child = self._forks.fork("run")
        stack.callback(child.close)
        workdir = tempfile.mkdtemp(dir=self._folder)
        # a spare runner rehearses before it hears
        time.sleep(0.5)
        began = time.monotonic()
        prepared = {"folder": str(shelf), "max_bytes": max_bytes}
        child.send({**self._terms, "prepared": prepared, "jobs": [{**self._job, "workdir": workdir}]})
        _first_step(child)
        return time.monotonic() - began, memory(child.pid)


def _first_step(child: Child) -> None:
    rest = b""
    while data := os.read(child.events, 1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        if any(isinstance(from_line(line)[1], Metrics) for line in lines):
            return
    raise SystemExit("a runner ended before its first step")


def memory(pid: int) -> dict[str, float]:
    """MiB in memory, and of it the process' share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kib = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines[1:])}
    return {"rss": round(kib["Rss"] / 1024, 1), "pss": round(kib["Pss"] / 1024, 1)}


def run(rows: int, times: int) -> dict[str, Any]:
    """Seconds to the first step (medians) and MiB of two runners that share, and of two that do not."""
    seconds: dict[str, list[float]] = {"alone": [], "first": [], "second": []}
    sizes: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, schema = table(folder, rows)
        forks = ForkServer(1, folder)
        forks.start()
        runners = Runners(folder, forks, path, schema)
        try:
            for turn in range(times):
                for who, max_bytes in ((("alone", "alone"), 0), (("first", "second"), 1 << 40)):
                    with ExitStack() as stack:
                        for one in who:
                            took, sizes[one] = runners.started(stack, folder / f"shelf-{turn}", max_bytes)
                            seconds[one].append(took)
        finally:
            forks.stop()
    return {
        "rows": rows,
        "first_step_s": {who: round(statistics.median(each), 3) for who, each in seconds.items()},
        "mib": sizes,
    }


def main() -> None:
    """Runs, prints, and writes its part of the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--times", type=int, default=5)
    given = options.parse_args()
    figures = run(given.rows, given.times)
    print(figures)
    save("prepared", f"{given.rows:,} rows of {_COLUMNS} columns", figures)


if __name__ == "__main__":
    main()
