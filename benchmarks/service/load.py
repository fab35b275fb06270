"""A load generator: keep-alive connections that each send the next request as soon as the last is answered.

Python's HTTP clients take longer for a request than the server that is measured. This one sends bytes that were made
before, looks for the end of the answer and nothing else, so that one core makes tens of thousands of requests a
second; its own share of the processor is reported beside each figure.
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# what has no body whatever its headers say
BODILESS = {b"304", b"204"}

Next = Callable[[int, bytes], bytes]
"""The next request of a connection: given its number and the last answer (empty at first)."""


def request(method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """One request as it goes over the wire."""
    told = {"Host": "127.0.0.1", **(headers or {})}
    if body:
        told |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass(slots=True)
class Connection:
    """One that always has a request under way."""

    number: int
    socket: socket.socket
    sent: float = 0.0
    received: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class Answers:
    """What came back: seconds of each answer, how often each status, and the client's own processor time."""

    seconds: float
    latencies: list[float]
    statuses: Counter[str]
    bytes: int
    client_cpu_s: float

    def summary(self) -> dict[str, Any]:
        ordered = sorted(self.latencies)

        def quantile(share: float) -> float:
            return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

        return {
            "per_s": round(len(ordered) / self.seconds, 1),
            "p50_ms": quantile(0.5),
            "p95_ms": quantile(0.95),
            "p99_ms": quantile(0.99),
            "max_ms": round(1000 * ordered[-1], 2),
            "n": len(ordered),
            "statuses": dict(self.statuses),
            "mean_bytes": round(self.bytes / len(ordered)),
            "client_cpu": round(self.client_cpu_s / self.seconds, 2),
        }


def whole(received: bytearray) -> int:
    """The length of the first answer when all of it is there, else 0."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return 0
    if bytes(received[9:12]) in BODILESS:
        return end + 4
    found = LENGTH.search(received, 0, end)
    assert found, f"an answer without a length: {bytes(received[:300])!r}"
    total = end + 4 + int(found[1])
    return total if len(received) >= total else 0


def load(
    address: tuple[str, int],
    following: Next,
    *,
    connections: int,
    seconds: float,
    per_s: float | None = None,
    over: threading.Event | None = None,
) -> Answers:
    """Keeps `connections` busy for so long or until it is `over`, at `per_s` requests a second together if given."""
    poll = select.epoll()
    open_: dict[int, Connection] = {}
    due: list[tuple[float, Connection]] = []
    begun, cpu = time.perf_counter(), time.thread_time()
    gap = connections / per_s if per_s else 0.0
    for number in range(connections):
        sock = socket.create_connection(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(number, sock)
        open_[sock.fileno()] = connection
        poll.register(sock, select.EPOLLIN)
        due.append((begun + gap * number / connections, connection))
    answers = Answers(seconds, [], Counter(), 0, 0.0)
    end = begun + seconds
    busy = 0
    last: dict[int, bytes] = {}
    while True:
        now = time.perf_counter()
        if over is not None and over.is_set():
            end = min(end, now)
        if now >= end and not busy:
            break
        while due and due[0][0] <= now and now < end:
            _, connection = due.pop(0)
            connection.sent = time.perf_counter()
            connection.socket.sendall(following(connection.number, last.get(connection.number, b"")))
            busy += 1
        wait = min(end, due[0][0]) - now if due else 1.0
        for descriptor, _event in poll.poll(max(0.0, wait) if now < end else 1.0):
            connection = open_[descriptor]
            chunk = connection.socket.recv(1 << 18)
            assert chunk, "the server closed a connection"
            connection.received += chunk
            if not (length := whole(connection.received)):
                continue
            moment = time.perf_counter()
            answer = bytes(connection.received[:length])
            del connection.received[:length]
            answers.latencies.append(moment - connection.sent)
            answers.statuses[answer[9:12].decode()] += 1
            answers.bytes += length
            last[connection.number] = answer
            busy -= 1
            due.append((max(moment, connection.sent + gap), connection))
    answers.seconds = time.perf_counter() - begun
    answers.client_cpu_s = time.thread_time() - cpu
    for connection in open_.values():
        connection.socket.close()
    poll.close()
    return answers
