"""How quick the embedded service is, as its users meet it: ready, first row, whole job, prediction, memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.service import Service

DIGITS: dict[str, Any] = {
    "data": {"dataset": "digits"},
    "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]},
    "optimizer": {"type": "adam", "lr": 0.001},
    "training": {"epochs": 20, "batch_size": 32},
}


def timed(action: Callable[[], object]) -> float:
    """Milliseconds that one call takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def whole_job(service: Service) -> None:
    job_id = service.submit(DIGITS)
    job: dict[str, Any] = {"terminal": False}
    while not job["terminal"]:
        job = service.http.get(f"/v1/jobs/{job_id}", params={"wait": 10}).json()
    assert job["status"] == "succeeded", job["error"]


def first_metric_ms(service: Service) -> float:
    """From the POST to the first row in the client's hands; the rest of the job is not timed."""
    start = time.perf_counter()
    job_id = service.submit(DIGITS)
    while not service.http.get(f"/v1/jobs/{job_id}/metrics", params={"wait": 10}).json()["data"]:
        pass
    elapsed = (time.perf_counter() - start) * 1000
    while not service.http.get(f"/v1/jobs/{job_id}", params={"wait": 10}).json()["terminal"]:
        pass
    return elapsed


def summary(samples: list[float]) -> dict[str, float]:
    ordered = sorted(samples)
    return {
        "p50": round(statistics.median(ordered), 1),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
        "min": round(ordered[0], 1),
        "n": len(ordered),
    }


def idle_mib(service: Service) -> float:
    """Proportional set size of every process of the service: shared pages are counted once."""
    return float(sum(process.memory_full_info().pss for process in service.processes())) / 2**20


def measure(repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder) / "data")
        service.folder.mkdir()
        service.start()
        service.stop()
        figures: dict[str, Any] = {"ready_warm_ms": round(timed(service.start), 1)}
        try:
            time.sleep(5)
            figures["idle_mib"] = round(idle_mib(service), 1)
            whole_job(service)
            figures["submit_to_first_metric_ms"] = summary([first_metric_ms(service) for _ in range(repeats)])
            figures["digits_20_epochs_ms"] = summary([timed(lambda: whole_job(service)) for _ in range(repeats)])
            job_id = service.http.get("/v1/jobs", params={"limit": 1}).json()["data"][0]["id"]
            row = {"inputs": [[0.0] * 64]}
            url = f"/v1/jobs/{job_id}/predict"
            assert service.http.post(url, json=row).status_code == 200
            figures["predict_one_row_ms"] = summary(
                [timed(lambda: service.http.post(url, json=row)) for _ in range(5 * repeats)]
            )
        finally:
            service.stop()
    return figures
