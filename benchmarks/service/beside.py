"""What 200 people who poll every second cost those whose jobs train: the same jobs with and without them, in turn.

The people look at the twenty newest jobs, the two that train among them: half ask for a job, half for its rows after
those that they have, each with the ETag of the last answer. They come when training has begun and stay until its end.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.figures import summary
from benchmarks.service.load import Answers, Next, load, request
from benchmarks.service.polling import ETAG
from tests.support.service import Service

PEOPLE = 200
WORKERS = 2
NEWEST = 20
NEXT = re.compile(rb'"next_after":(\d+)')
# two runners, each with one core to itself and enough to do
LONG: dict[str, Any] = {
    "data": {"dataset": "digits"},
    "network": {
        "layers": [{"type": "linear", "units": 64}, {"type": "relu"}, {"type": "linear", "units": 32}, {"type": "relu"}]
    },
    "optimizer": {"type": "adam", "lr": 0.001},
    "training": {"epochs": 1200, "batch_size": 32},
}


class Person:
    """Asks for one page of a job again and again: the rows that are new, or the job if that is new."""

    def __init__(self, job_id: str, page: str) -> None:
        self._path = f"/v1/jobs/{job_id}{page}"
        self._after = 0 if page else None
        self._request = b""

    def __call__(self, last: bytes) -> bytes:
        if last.startswith(b"HTTP/1.1 304") and self._request:
            return self._request
        head = last[: last.find(b"\r\n\r\n")]
        if self._after is not None and (found := NEXT.search(last, max(0, len(last) - 100))):
            after = int(found[1])
            etag, self._after = ETAG.search(head) if after == self._after else None, after
        else:
            etag = ETAG.search(head)
        path = self._path if self._after is None else f"{self._path}?after={self._after}"
        self._request = request("GET", path, {"If-None-Match": etag[1].decode()} if etag else {})
        return self._request


def submitted(service: Service, seed: int) -> list[str]:
    """Two jobs that cannot ride together."""
    specs = [{**LONG, "training": {**LONG["training"], "batch_size": size, "seed": seed}} for size in (32, 33)]
    return [service.submit(spec) for spec in specs]


def until_over(service: Service, jobs: Sequence[str]) -> None:
    """Returns when both are; who waits for rows that never come is woken by the end alone."""
    for job_id in jobs:
        while not service.http.get(f"/v1/jobs/{job_id}/metrics?after=1000000&wait=60").json()["terminal"]:
            pass
        assert service.job(job_id)["status"] == "succeeded"


def trained_s(service: Service, seed: int) -> float:
    """Seconds from the submission of two jobs to the end of the later one."""
    began = time.perf_counter()
    until_over(service, submitted(service, seed))
    return time.perf_counter() - began


def trained_beside_people_s(service: Service, seed: int) -> tuple[float, Answers]:
    """As `trained_s`, and what the people were answered."""
    began = time.perf_counter()
    jobs = submitted(service, seed)
    with people(service) as answers:
        until_over(service, jobs)
        seconds = time.perf_counter() - began
    return seconds, answers[0]


@contextmanager
def people(service: Service) -> Iterator[list[Answers]]:
    """They look at the newest jobs until the block ends; the list then has what they were answered."""
    jobs = [job["id"] for job in service.http.get("/v1/jobs", params={"limit": NEWEST}).json()["data"]]
    pages = [(job, page) for job in jobs for page in ("", "/metrics")]
    persons = [Person(*pages[number % len(pages)]) for number in range(PEOPLE)]
    split = urlsplit(str(service.http.base_url))
    answers: list[Answers] = []
    over = threading.Event()

    def ask() -> None:
        address = (split.hostname or "", split.port or 0)
        asking: Next = lambda number, last: persons[number](last)  # noqa: E731
        answers.append(load(address, asking, connections=PEOPLE, seconds=120.0, per_s=float(PEOPLE), over=over))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


def cpu_of_api_s(service: Service) -> float:
    """Processor seconds of the API process so far."""
    (api,) = (process for process in service.processes() if process.cmdline()[1:3] == ["-m", "api"])
    times = api.cpu_times()
    return float(times.user + times.system)


def measure(repeats: int) -> dict[str, Any]:
    """How much longer training takes beside the people: each pair of runs in turn, the pairs in either order.

    `costs` is the median of the pairs. The people's own processor time is in it, which they would have on machines of
    their own; `client_cpu` and `api_cpu` say how many cores each took.
    """
    pairs, seen, api = [], [], []
    with tempfile.TemporaryDirectory(prefix="netmill-bench-") as name:
        service = Service(Path(name) / "data", {"NETMILL_THREADS": "1"}, workers=WORKERS)
        service.folder.mkdir()
        service.start()
        try:
            for seed in range(NEWEST // 2):
                until_over(service, [service.submit({**LONG, "training": {"epochs": 20, "seed": seed}})])
            trained_s(service, 0)
            for seed in range(1, repeats + 1):
                alone = trained_s(service, seed) if seed % 2 else 0.0
                before = cpu_of_api_s(service)
                beside, answers = trained_beside_people_s(service, 100 + seed)
                api.append((cpu_of_api_s(service) - before) / beside)
                pairs.append((alone or trained_s(service, seed), beside))
                seen.append(answers)
        finally:
            service.stop()
    return {
        "people": PEOPLE,
        "alone_s": [round(alone, 2) for alone, _ in pairs],
        "beside_s": [round(beside, 2) for _, beside in pairs],
        "costs": round(statistics.median(beside / alone - 1 for alone, beside in pairs), 3),
        "costs, all": summary([beside / alone - 1 for alone, beside in pairs], digits=3),
        "api_cpu": round(statistics.median(api), 3),
        "client_cpu": round(statistics.median(answers.client_cpu_s / answers.seconds for answers in seen), 3),
        "their answers": [answers.summary() for answers in seen],
    }
