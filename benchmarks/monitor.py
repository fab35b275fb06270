"""What looking at the layers costs: the same runs with and without, in turn, and the medians of their processor times;
the least ones too, which a busy machine spoils less.

    .venv/bin/python -m benchmarks.monitor [TIMES]

The warnings' probes run in both; `without probes` is what a run would take that never looks.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from core.data.builtin import make_builtin
from core.engine import watch
from core.engine.run import Run, train
from core.events import Metrics
from core.spec.limits import Limits
from core.spec.plan import check_job
from core.spec.sampling import Cost, Sampling, probe_sampling

_NEVER = Sampling(10**12, spreads=False)
_WIDE = {"family": "deep_feed_forward", "hidden": [300, 300, 300]}
RUNS: dict[str, dict[str, Any]] = {
    "digits 64-64-32-10, batch 32": {
        "data": {"dataset": "digits"},
        "network": {"family": "deep_feed_forward", "hidden": [64, 32]},
    },
    "higgs 28-300-300-300-1, batch 256": {
        "data": {"dataset": "higgs"},
        "network": _WIDE,
        "training": {"epochs": 3, "batch_size": 256},
    },
}


def once(body: dict[str, Any], folder: Path, *, probes: bool) -> tuple[float, int]:
    """(seconds of the run, rows of its history that tell of layers)."""
    data = make_builtin(body["data"]["dataset"], {}, folder)
    plan = check_job(body, lambda _: data.schema, Limits())
    workdir = Path(tempfile.mkdtemp(dir=folder))
    sampling = probe_sampling if probes else _never
    with patch.object(watch, "probe_sampling", sampling):
        began = time.process_time()
        events = list(train(Run(plan.spec, data.schema, data.data_path, workdir), lambda: None))
        seconds = time.process_time() - began
    rows = [event for event in events if isinstance(event, Metrics)]
    return seconds, sum(any(name.startswith("layer.") for name in row.values) for row in rows)


def _never(_cost: Cost) -> Sampling:
    return _NEVER


def main(times: int) -> None:
    """Prints a line for each network."""
    for name, body in RUNS.items():
        monitored = {**body, "monitor": {"layers": True}}
        seconds: dict[str, list[float]] = {"without probes": [], "probes": [], "layers": []}
        looks = 0
        for _ in range(times):
            with tempfile.TemporaryDirectory() as folder:
                seconds["without probes"].append(once(body, Path(folder), probes=False)[0])
                seconds["probes"].append(once(body, Path(folder), probes=True)[0])
                taken, looks = once(monitored, Path(folder), probes=True)
                seconds["layers"].append(taken)
        for way, figure in (("median", statistics.median), ("least", min)):
            base = figure(seconds["without probes"])
            probes, layers = (figure(seconds[kind]) / base - 1 for kind in ("probes", "layers"))
            print(f"{name}, {way}: {base:.3f} s; probes {probes:+.1%}; monitor.layers {layers:+.1%} ({looks} rows)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
