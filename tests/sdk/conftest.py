"""A real HTTP server that plays scripted faults, for what a healthy service never does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from netmill import Client, RetryPolicy

# waits short enough for a test, and long enough to be measured
QUICK = RetryPolicy(retries=4, first_wait_s=0.01, longest_wait_s=0.05, longest_retry_after_s=2.0)


@dataclass(frozen=True)
class Reply:
    """One answer; `cut` closes the connection instead, after the headers when there is a body."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Script:
    """What the server answers, in order (the last one for ever), and what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[Seen] = []
        self._replies: list[Reply] = []
        self._route: Callable[[Seen], Reply] | None = None

    def play(self, *replies: Reply) -> None:
        self._replies = list(replies)

    def route(self, answer: Callable[[Seen], Reply]) -> None:
        self._route = answer

    def client(self, **options: Any) -> Client:
        return Client(self.url, **{"retry": QUICK, "timeout_s": 5.0, **options})

    def next(self, seen: Seen) -> Reply:
        self.seen.append(seen)
        if self._route:
            return self._route(seen)
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = self.server.script.next(Seen(self.command, self.path, dict(self.headers), body))
        if reply.cut and reply.body is None:
            self.close_connection = True
            return
        content = reply.content()
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) + (100 if reply.cut else 0)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = reply.cut

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def script() -> Iterator[Script]:
    """A server on a free port that does as it is told."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.script = Script(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server.script
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own service is none of the tests' business."""
    for name in ("NETMILL_URL", "NETMILL_KEY"):
        monkeypatch.delenv(name, raising=False)


def job_body(**changes: Any) -> dict[str, Any]:
    """A job as the service answers it."""
    return {
        "id": "job_1",
        "name": "digits",
        "tags": {},
        "status": "queued",
        "terminal": False,
        "parent": None,
        "created_at": "2026-11-23T16:00:00.000000Z",
        "started_at": None,
        "finished_at": None,
        "queue_position": 0,
        "attempt": 0,
        "transitions": [{"status": "queued", "time": "2026-11-23T16:00:00.000000Z"}],
        "progress": {"epoch": 0, "epochs": 20, "step": 0, "steps": 1140, "eta_s": None, "samples_per_s": None},
        "result": None,
        "error": None,
        "spec": {"data": {"dataset": "digits"}},
        "links": {},
        **changes,
    }


def problem(status: int, code: str, **more: Any) -> dict[str, Any]:
    return {
        "type": f"urn:netmill:error:{code}",
        "title": "T",
        "status": status,
        "detail": f"d {code}",
        "code": code,
    } | more
