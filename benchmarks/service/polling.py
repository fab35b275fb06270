"""Polls of a job and of its metrics by 16 keep-alive connections, from one API process."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from benchmarks.service.house import House
from benchmarks.service.load import Next, load
from benchmarks.service.rounds import in_rounds

CONNECTIONS = 16
ROWS = 20
ETAG = re.compile(rb"\r\netag: ([^\r]+)", re.IGNORECASE)


class Get(Protocol):
    """A GET as it goes over the wire."""

    def __call__(self, path: str, **headers: str) -> bytes: ...


class Poller:
    """Asks for some pages in turn; `conditional` sends the ETag that the same connection was last given."""

    def __init__(self, get: Get, paths: Sequence[str], *, conditional: bool = False) -> None:
        self._get = get
        self._paths = paths
        self._conditional = conditional
        self._asked: dict[int, int] = {}
        self._known: dict[tuple[int, int], str] = {}
        self._requests: dict[tuple[int, str], bytes] = {}

    def __call__(self, connection: int, last: bytes) -> bytes:
        asked = self._asked.get(connection, -1)
        if self._conditional and last and (found := ETAG.search(last)):
            self._known[connection, asked] = found[1].decode()
        page = self._asked[connection] = (asked + 1) % len(self._paths)
        etag = self._known.get((connection, page), "")
        if (page, etag) not in self._requests:
            told = {"If-None-Match": etag} if etag else {}
            self._requests[page, etag] = self._get(self._paths[page], **told)
        return self._requests[page, etag]


@contextmanager
def rows_arriving(house: House, job_ids: Sequence[str], every_s: float) -> Iterator[None]:
    """Records a row of each job, as its worker would, until the block ends."""
    over = threading.Event()

    def write() -> None:
        while not over.wait(every_s):
            for job_id in job_ids:
                house.epoch(job_id, next(house.epochs))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def asked(
    house: House, following: Next, seconds: float, *, connections: int = CONNECTIONS, per_s: float | None = None
) -> dict[str, Any]:
    """What load of this kind comes to, with the server's share of the processor."""
    before = house.cpu_s()
    answers = load(house.address, following, connections=connections, seconds=seconds, per_s=per_s)
    return {**answers.summary(), "server_cpu": round((house.cpu_s() - before) / answers.seconds, 2)}


def measure(house: House, seconds: float, repeats: int) -> dict[str, Any]:
    """A running job with 20 rows: alone, with its metrics, with ETags, and while rows arrive twice a second."""
    job_id = house.start(ROWS)
    job, metrics = f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/metrics"
    crowd = [house.start(ROWS) for _ in range(8)]
    pages = [f"/v1/jobs/{one}{page}" for one in crowd for page in ("", f"/metrics?after={ROWS}")]

    def beside_news() -> dict[str, Any]:
        with rows_arriving(house, crowd, 0.5):
            return asked(house, Poller(house.get, pages, conditional=True), seconds)

    loads: dict[str, Callable[[], dict[str, Any]]] = {
        "job": lambda: asked(house, Poller(house.get, [job]), seconds),
        "job and metrics": lambda: asked(house, Poller(house.get, [job, metrics]), seconds),
        "job and metrics, nothing new": lambda: asked(
            house, Poller(house.get, [job, metrics], conditional=True), seconds
        ),
        "8 jobs and new rows": beside_news,
    }
    return in_rounds(loads, repeats)
