"""Jobs through a whole embedded service with one worker, as its users send them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from scripts.local_service import service

EPOCHS = 20
DIGITS: dict[str, Any] = {
    "data": {"dataset": "digits"},
    "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]},
    "optimizer": {"type": "adam", "lr": 0.001},
    "training": {"epochs": EPOCHS, "batch_size": 32},
}
_SENDERS = 8
_LOOK_S = 0.05


class TooSlow(Exception):
    """Not all jobs ended in time."""


@dataclass(slots=True)
class Netmill:
    """A service that is up."""

    http: httpx.Client

    def whole_job(self) -> float:
        """Seconds from the submission of one job to the answer that it has succeeded."""
        began = time.perf_counter()
        job = self._submit(DIGITS)
        while not job["terminal"]:
            job = self.http.get(f"/v1/jobs/{job['id']}", params={"wait": 30}).json()
        seconds = time.perf_counter() - began
        if job["status"] != "succeeded":
            raise RuntimeError(f"received {job['status']} ({job['error']}), expected succeeded")
        return seconds

    def many(self, count: int, within_s: float) -> tuple[float, dict[str, int]]:
        """Seconds from the first of `count` submissions until all have succeeded, and how many rode in what company.

        They differ in seed and learning rate. TooSlow when they have not ended in time.
        """
        specs = [_spec(number) for number in range(count)]
        began = time.perf_counter()
        with ThreadPoolExecutor(_SENDERS) as senders:
            ids = [job["id"] for job in senders.map(self._submit, specs)]
        while self._some("queued") or self._some("running"):
            if time.perf_counter() - began > within_s:
                raise TooSlow(f"{self._succeeded(ids)} of {count} jobs had succeeded after {within_s:.0f} s")
            time.sleep(_LOOK_S)
        seconds = time.perf_counter() - began
        if (succeeded := self._succeeded(ids)) != count:
            raise RuntimeError(f"{succeeded} of {count} jobs succeeded")
        return seconds, self._company(ids)

    def _submit(self, spec: dict[str, Any]) -> dict[str, Any]:
        answer = self.http.post("/v1/jobs", json=spec)
        if answer.status_code != 201:
            raise RuntimeError(f"a submission was answered by {answer.status_code}: {answer.text[:300]}")
        job: dict[str, Any] = answer.json()
        return job

    def _some(self, status: str) -> bool:
        return bool(self.http.get("/v1/jobs", params={"status": status, "limit": 1}).json()["data"])

    def _jobs(self, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Those of these jobs that have succeeded."""
        wanted, cursor = set(ids), None
        while True:
            given: dict[str, str | int] = {"status": "succeeded", "limit": 200}
            if cursor:
                given["cursor"] = cursor
            page = self.http.get("/v1/jobs", params=given).json()
            yield from (job for job in page["data"] if job["id"] in wanted)
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _succeeded(self, ids: Sequence[str]) -> int:
        return sum(1 for _ in self._jobs(ids))

    def _company(self, ids: Sequence[str]) -> dict[str, int]:
        """How many jobs trained in a cohort of each size; 1 is alone."""
        sizes = [(job.get("cohort") or {"size": 1})["size"] for job in self._jobs(ids)]
        return {str(size): sizes.count(size) for size in sorted(set(sizes))}


@contextmanager
def running(folder: Path) -> Iterator[Netmill]:
    """A service on an empty folder with everything warm that a first job warms."""
    with service(folder, Console(stderr=True)) as url, httpx.Client(base_url=url, timeout=90) as http:
        netmill = Netmill(http)
        netmill.whole_job()
        yield netmill


def _spec(number: int) -> dict[str, Any]:
    optimizer = DIGITS["optimizer"] | {"lr": 0.0005 + 0.00001 * (number % 100)}
    return DIGITS | {"optimizer": optimizer, "training": DIGITS["training"] | {"seed": number}}
