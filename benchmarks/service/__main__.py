"""How much one API process answers: polls, submissions, those who wait, and what it costs those who train.

.venv/bin/python -m benchmarks.service [--quick] [--part NAME ...] [--database sqlite postgres]

Each kind of load is measured in short rounds in turn, five of them, and told as their median with the least and the
most. Client and server share the machine; the client's own share of a core stands beside each figure as `client_cpu`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import results
from benchmarks.machine import circumstances
from benchmarks.service import beside, jobs, polling, servers, submitting, waiting
from benchmarks.service.house import House, house

PART = "service"
_OF_A_PROCESS: dict[str, Callable[[House, float, int], dict[str, Any]]] = {
    "polling": polling.measure,
    "submitting": submitting.measure,
    "waiting": waiting.measure,
}
_PARTS = (*_OF_A_PROCESS, "servers", "beside", "jobs")


def main(arguments: Sequence[str] | None = None) -> int:
    options = results.options(__doc__, "two rounds, and SQLite alone")
    options.add_argument("--part", nargs="+", choices=_PARTS, default=list(_PARTS))
    options.add_argument("--database", nargs="+", choices=("sqlite", "postgres"))
    chosen = options.parse_args(arguments)
    seconds, repeats = 1.5, 2 if chosen.quick else 5
    kinds = chosen.database or (["sqlite"] if chosen.quick else ["sqlite", "postgres"])
    began, figures = time.monotonic(), circumstances()
    for name, measure in _OF_A_PROCESS.items():
        for kind in kinds if name in chosen.part else ():
            with house(kind) as one:
                figures[f"{name}, {kind}"] = shown(f"{name}, {kind}", measure(one, seconds, repeats))
    alone: dict[str, Callable[[], dict[str, Any]]] = {
        "servers": lambda: servers.measure("sqlite", seconds, repeats),
        "beside": lambda: beside.measure(repeats),
        "jobs": lambda: jobs.measure(4 * repeats),
    }
    for name in [part for part in alone if part in chosen.part]:
        figures[name] = shown(name, alone[name]())
    figures |= {"seconds": round(time.monotonic() - began), "quick": chosen.quick}
    results.write(PART, figures, chosen.out)
    return 0


def shown(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    """The same figures, printed."""
    print(f"\n{name}")
    for what, value in figures.items():
        print(f"  {what:32} {value}", flush=True)
    return figures


if __name__ == "__main__":
    sys.exit(main())
