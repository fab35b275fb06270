"""Microseconds a step of Netmill's engine and of its peers, side by side.

.venv/bin/python -m benchmarks.engine [--quick] [--workload NAME ...] [--peer NAME ...] [--threads N ...]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import results
from benchmarks.engine.measure import measure
from benchmarks.engine.table import HEADINGS, cells, markdown
from benchmarks.engine.workloads import WORKLOADS
from benchmarks.machine import circumstances
from benchmarks.peers.catalogue import PEERS

PART = "engine"
_REPEATS, _QUICK_REPEATS = 5, 2


def main(arguments: Sequence[str] | None = None) -> int:
    options = results.options(__doc__, "one thread and few repeats")
    options.add_argument("--repeats", type=int)
    options.add_argument("--workload", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    options.add_argument("--peer", nargs="+", choices=PEERS, default=list(PEERS))
    options.add_argument("--threads", type=int, nargs="+")
    chosen = options.parse_args(arguments)
    repeats = chosen.repeats or (_QUICK_REPEATS if chosen.quick else _REPEATS)
    threads = chosen.threads or ([1] if chosen.quick else [1, 2])
    began, figures = time.monotonic(), circumstances()
    with tempfile.TemporaryDirectory(prefix="netmill-bench-") as folder:
        peers = [PEERS[name] for name in chosen.peer]
        rows, packages = measure(peers, chosen.workload, threads, repeats, Path(folder))
    figures |= {"seconds": round(time.monotonic() - began), "quick": chosen.quick, "repeats": repeats}
    figures |= {"threads": threads, "rows": rows, "packages": packages}
    results.write(PART, figures, chosen.out)
    for name in chosen.workload:
        for count in threads:
            print(f"\n{WORKLOADS[name].title}; {count} thread{'s' if count > 1 else ''}")
            print(markdown(HEADINGS, cells(rows, name, count)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
