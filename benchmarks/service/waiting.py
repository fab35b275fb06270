"""A thousand who wait, half in streams and half in long polls, and what plain requests beside them take."""

from __future__ import annotations

import re
import select
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.service.house import House
from benchmarks.service.load import load, request
from benchmarks.service.polling import ROWS, Poller, asked
from benchmarks.service.rounds import in_rounds

WAITERS = 1000
PER_S = 100.0


@dataclass
class Crowd:
    """Open connections that wait for news of one job; `told` is when each heard, in seconds after the last news."""

    house: House
    job_id: str
    streams: list[socket.socket] = field(default_factory=list)
    polls: list[socket.socket] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    news_at: float = 0.0

    def open(self, waiters: int) -> None:
        """Opens them all and returns when each stream has told what there is already."""
        stream = self.house.get(f"/v1/jobs/{self.job_id}/events", Accept="text/event-stream")
        poll = self.house.get(f"/v1/jobs/{self.job_id}/metrics?after=1000000&wait=55")
        for sockets, ask in ((self.streams, stream), (self.polls, poll)):
            for _ in range(waiters // 2):
                sockets.append(socket.create_connection(self.house.address))
                sockets[-1].sendall(ask)
        self._until_registered(waiters)
        waiting = {one.fileno(): one for one in self.streams}
        ready = select.epoll()
        for descriptor in waiting:
            ready.register(descriptor, select.EPOLLIN)
        while waiting:
            for descriptor, _ in ready.poll(10):
                if b"event: " in waiting[descriptor].recv(1 << 16):
                    ready.unregister(descriptor)
                    del waiting[descriptor]
        ready.close()
        self._until_registered(waiters)

    def _until_registered(self, waiters: int) -> None:
        """Returns when the service counts them all: it takes a second to accept so many at once."""
        ask = self.house.get("/metrics")
        counted = 0.0
        while counted < waiters:
            seen: list[bytes] = []
            load(self.house.address, partial(_noting, seen, ask), connections=1, seconds=0.2)
            found = re.findall(rb"netmill_waiters ([0-9.]+)", b"".join(seen))
            counted = float(found[-1]) if found else 0.0

    @contextmanager
    def hearing(self, every_s: float) -> Iterator[None]:
        """News twice a second, read by every stream, until the block ends."""
        over = threading.Event()
        threads = [
            threading.Thread(target=self._tell, args=(over, every_s)),
            threading.Thread(target=self._read, args=(over,)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def _tell(self, over: threading.Event, every_s: float) -> None:
        while not over.wait(every_s):
            self.house.epoch(self.job_id, next(self.house.epochs))
            self.news_at = time.perf_counter()
            self.house.notify(self.job_id)

    def _read(self, over: threading.Event) -> None:
        sockets = {one.fileno(): one for one in self.streams}
        ready = select.epoll()
        for descriptor in sockets:
            ready.register(descriptor, select.EPOLLIN)
        while not over.is_set():
            for descriptor, _ in ready.poll(0.2):
                sockets[descriptor].recv(1 << 16)
                self.told.append(time.perf_counter() - self.news_at)
        ready.close()

    def close(self) -> None:
        for one in (*self.streams, *self.polls):
            one.close()


def _noting(seen: list[bytes], ask: bytes, _: int, last: bytes) -> bytes:
    seen.append(last)
    return ask


def measure(house: House, seconds: float, repeats: int, waiters: int = WAITERS) -> dict[str, Any]:
    """Plain requests, 100 a second, beside those who wait in vain, and beside those who hear twice a second."""
    job_id, other = house.start(ROWS), house.start(ROWS)
    ping = request("GET", "/healthz")
    polls = Poller(house.get, [f"/v1/jobs/{other}", f"/v1/jobs/{other}/metrics"])

    def plain(connection: int, last: bytes) -> bytes:
        return ping if connection % 2 else polls(connection, last)

    before = house.pss_mib()
    crowd = Crowd(house, job_id)
    try:
        crowd.open(waiters)
        figures: dict[str, Any] = {"waiters": waiters, "mib": round(house.pss_mib() - before, 1)}
        ask = partial(asked, house, plain, seconds, connections=4, per_s=PER_S)

        def hearing() -> dict[str, Any]:
            with crowd.hearing(0.5):
                return ask()

        figures |= in_rounds({"beside who wait": ask, "beside who hear twice a second": hearing}, repeats)
        ordered = sorted(crowd.told)
        told = {"p50": statistics.median(ordered), "p99": ordered[int(0.99 * len(ordered))]}
        figures["a stream hears after, ms"] = {name: round(1000 * value, 1) for name, value in told.items()}
        figures["times heard"] = len(ordered)
    finally:
        crowd.close()
    return figures
