"""What 200 people who poll every second cost those whose jobs train: the same jobs with and without them, in turn."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.service.load import Answers, load, request
from benchmarks.service.polling import Poller
from tests.support.service import Service

PEOPLE = 200
WORKERS = 2
# two runners, each with one core to itself and enough to do
LONG: dict[str, Any] = {
    "data": {"dataset": "digits"},
    "network": {
        "layers": [{"type": "linear", "units": 64}, {"type": "relu"}, {"type": "linear", "units": 32}, {"type": "relu"}]
    },
    "optimizer": {"type": "adam", "lr": 0.001},
    "training": {"epochs": 400, "batch_size": 32},
}


def trained_s(service: Service, seed: int) -> float:
    """Seconds from the submission of two jobs that cannot ride together to the end of the later one."""
    specs = [{**LONG, "training": {**LONG["training"], "batch_size": size, "seed": seed}} for size in (32, 33)]
    began = time.perf_counter()
    jobs = [service.submit(spec) for spec in specs]
    for job_id in jobs:
        while not service.http.get(f"/v1/jobs/{job_id}", params={"wait": 30}).json()["terminal"]:
            pass
    return time.perf_counter() - began


def _get(path: str, **headers: str) -> bytes:
    return request("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})


@contextmanager
def people(service: Service, seconds: float) -> Iterator[list[Answers]]:
    """200 browsers, each of which asks for a job or for its metrics once a second, of the 20 newest jobs."""
    split = urlsplit(str(service.http.base_url))
    jobs = [job["id"] for job in service.http.get("/v1/jobs", params={"limit": 20}).json()["data"]]
    paths = [f"/v1/jobs/{job}{page}" for job in jobs for page in ("", "/metrics")]
    pollers = [Poller(_get, [path], conditional=True) for path in paths]
    answers: list[Answers] = []
    address = (split.hostname or "", split.port or 0)

    def ask() -> None:
        answers.append(
            load(
                address,
                lambda n, last: pollers[n % len(pollers)](n, last),
                connections=PEOPLE,
                seconds=seconds,
                per_s=float(PEOPLE),
            )
        )

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        thread.join()


def measure(repeats: int) -> dict[str, Any]:
    """Seconds of training alone and beside the people, medians of some repeats in turn, and what the people saw."""
    with tempfile.TemporaryDirectory(prefix="netmill-bench-") as name:
        service = Service(Path(name) / "data", {"NETMILL_THREADS": "1"}, workers=WORKERS)
        service.folder.mkdir()
        service.start()
        try:
            trained_s(service, 0)
            alone, beside, seen = [], [], []
            for seed in range(1, repeats + 1):
                alone.append(trained_s(service, seed))
                with people(service, seconds=alone[-1]) as answers:
                    beside.append(trained_s(service, 100 + seed))
                seen += answers
        finally:
            service.stop()
    share = statistics.median(beside) / statistics.median(alone) - 1
    return {
        "people": PEOPLE,
        "alone_s": [round(one, 2) for one in alone],
        "beside_s": [round(one, 2) for one in beside],
        "costs": round(share, 3),
        "their answers": [answers.summary() for answers in seen],
    }
