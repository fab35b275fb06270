"""How soon an idle, warm service begins to train what is submitted, and how soon a short job is over.

    .venv/bin/python -m benchmarks.latency [--times 60]

`started`: from before the POST to the end of the first optimizer step, by the machine's clock, which service and client
share. `one epoch`: from before the POST to when the client, by long poll, knows that the job succeeded. Both with an
embedded service on SQLite and one slot. Prints and writes JSON.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.machine import circumstances
from tests.support.service import Service

_DIGITS: dict[str, Any] = {
    "data": {"dataset": "digits"},
    "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]},
    "optimizer": {"type": "adam", "lr": 0.001},
    "training": {"epochs": 1, "batch_size": 32},
}
_STEPWISE = {**_DIGITS, "monitor": {"every_steps": 1}}


def finished(service: Service, spec: dict[str, Any]) -> tuple[str, float]:
    """(id of a job that has succeeded, milliseconds from before its POST)."""
    began = time.perf_counter()
    job_id = service.submit(spec)
    job: dict[str, Any] = {"terminal": False}
    while not job["terminal"]:
        job = service.http.get(f"/v1/jobs/{job_id}", params={"wait": 10}).json()
    assert job["status"] == "succeeded", job["error"]
    return job_id, (time.perf_counter() - began) * 1000


def started(service: Service) -> float:
    """Milliseconds from before a POST to the end of the job's first step."""
    began = time.time()
    job_id, _ = finished(service, _STEPWISE)
    rows = service.http.get(f"/v1/jobs/{job_id}/metrics", params={"limit": 1}).json()["data"]
    assert rows[0]["step"] == 1
    return (datetime.fromisoformat(rows[0]["time"]).timestamp() - began) * 1000


def summary(samples: list[float]) -> dict[str, float]:
    ordered = sorted(samples)
    quantiles = {"p50": statistics.median(ordered), "p95": ordered[int(0.95 * (len(ordered) - 1))], "min": ordered[0]}
    return {name: round(value, 1) for name, value in quantiles.items()} | {"n": len(ordered)}


def main(arguments: Sequence[str] | None = None) -> int:
    options = results.options(__doc__)
    options.add_argument("--times", type=int, default=60)
    given = options.parse_args(arguments)
    times = 10 if given.quick else given.times
    began, told = time.monotonic(), circumstances()
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder) / "data")
        service.folder.mkdir()
        service.start()
        try:
            for _ in range(5):
                finished(service, _DIGITS)
            # a moment apart, as people submit: what the service does behind a job is over by then
            pause_s = 0.1
            soon, whole = [], []
            for _ in range(times):
                time.sleep(pause_s)
                soon.append(started(service))
                time.sleep(pause_s)
                whole.append(finished(service, _DIGITS)[1])
        finally:
            service.stop()
    figures = {"started_ms": summary(soon), "one_epoch_ms": summary(whole)}
    for name, value in figures.items():
        print(f"{name:14} p50 {value['p50']:6.1f}  p95 {value['p95']:6.1f}  least {value['min']:6.1f}  of {value['n']}")
    told |= {"quick": given.quick, "seconds": round(time.monotonic() - began)}
    results.write("latency", told | figures, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
