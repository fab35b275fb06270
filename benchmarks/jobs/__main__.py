"""Whole jobs, many jobs and a tracking server: the service against what people use instead.

.venv/bin/python -m benchmarks.jobs [--quick] [--part one together thousand tracking]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.jobs import mlflow_server
from benchmarks.jobs.measure import Row, jobs_at_once, one_job, thousand
from benchmarks.jobs.netmill_service import running
from benchmarks.machine import circumstances

PART = "jobs"
PARTS = ("one", "together", "thousand", "tracking")


def main(arguments: Sequence[str] | None = None) -> int:
    options = results.options(__doc__, "few repeats, and no thousand jobs")
    options.add_argument("--repeats", type=int)
    options.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    chosen = options.parse_args(arguments)
    repeats = chosen.repeats or (2 if chosen.quick else 5)
    parts = [part for part in chosen.part if part != "thousand" or not chosen.quick]
    figures: dict[str, Any] = circumstances()
    began = time.monotonic()
    rows = measure(parts, repeats, seconds=1.0 if chosen.quick else 3.0)
    figures |= {"seconds": round(time.monotonic() - began), "quick": chosen.quick, "repeats": repeats, "rows": rows}
    results.write(PART, figures, chosen.out)
    for row in rows:
        print(f"{row['part']:10} {row['title']:60} {told(row)}")
    return 0


def measure(parts: Sequence[str], repeats: int, seconds: float) -> list[Row]:
    """The rows of these parts; `seconds` is how long a server is kept busy at a time."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="netmill-bench-") as name:
        folder = Path(name)
        if set(parts) - {"tracking"}:
            with running(folder) as netmill:
                if "one" in parts:
                    # short ones, which a breath of the machine moves
                    rows += one_job(netmill, folder, 3 * repeats)
                if "together" in parts:
                    rows += jobs_at_once(netmill, folder, repeats)
                if "thousand" in parts:
                    rows.append(thousand(netmill))
        if "tracking" in parts:
            rows += mlflow_server.measure(folder, repeats, seconds)
    return rows


def told(row: Row) -> str:
    """One row's figures in a line."""
    if "absent" in row:
        return f"absent: {row['absent']}"
    figures, unit = (row["seconds"], "s") if "seconds" in row else (row["per_s"], "a second")
    company = f"  cohorts {row['cohorts']}" if "cohorts" in row else ""
    return f"{figures['median']:,} {unit} ({figures['min']:,} to {figures['max']:,}){company}"


if __name__ == "__main__":
    sys.exit(main())
