"""Everything that is measured, part by part.

make bench                                      # all of it, quietly: nothing else on the machine
.venv/bin/python -m benchmarks --quick          # minutes, and rough
.venv/bin/python -m benchmarks --only engine
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import latency, overhead, recording, report, results
from benchmarks.engine import __main__ as engine
from benchmarks.jobs import __main__ as jobs
from benchmarks.service import __main__ as service

Part = Callable[[Sequence[str]], int]

PARTS: dict[str, Part] = {
    "engine": engine.main,
    "jobs": jobs.main,
    "service": service.main,
    "overhead": overhead.main,
    "recording": recording.main,
    "latency": latency.main,
}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="few repeats, and without what takes longest")
    options.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--out", type=Path, default=results.FOLDER, help="folder for the JSON files")
    chosen = options.parse_args()
    common = ["--out", str(chosen.out), *(["--quick"] if chosen.quick else [])]
    worst = max(PARTS[name](common) for name in chosen.only)
    # the page is of the committed results; figures that were put elsewhere are somebody's own
    return worst or (report.main([]) if chosen.out == results.FOLDER else 0)


if __name__ == "__main__":
    sys.exit(main())
