"""The outermost layer: request ids, one log line and one figure a request, and nothing that escapes as a bare 500."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem
from api.telemetry import Telemetry
from core.ids import uuid7_hex

LINES = logging.getLogger("api.request")
log = structlog.get_logger(LINES.name)
GOOD_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# asked for every few seconds by machines: they would drown the log, as would those who are told that nothing is new
QUIET = {"/healthz", "/readyz", "/metrics"}
Shortcut = Callable[[Scope], Awaitable[ASGIApp | None]]
"""The answer to a request that needs no route, None for one that does."""


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """True for names and addresses that only this machine reaches."""
    host = host.strip("[]").lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def refusal(scope: Scope, *, local_only: bool) -> tuple[int, str, str] | None:
    """Why a request is turned away before any route sees it: (status, code, detail), or None.

    Without keys the browser's own rules are the only guard, so a foreign Host (DNS rebinding) and a
    write that another site's page sends (CSRF) are refused.
    """
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        return 422, "invalid_parameter", "received a NUL character in the address; no name or id holds one"
    if not local_only:
        return None
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    if not is_loopback(name):
        return 403, "host_not_allowed", "without keys this server answers to localhost and 127.0.0.1 alone"
    origin = headers.get("origin")
    if origin and scope["method"] not in SAFE_METHODS and urlsplit(origin).netloc.lower() != host.lower():
        return 403, "origin_not_allowed", "without keys no page of another site may change anything here"
    return None


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry, local_only: bool, shortcut: Shortcut) -> None:
        self.app = app
        self.telemetry = telemetry
        self.local_only = local_only
        self.shortcut = shortcut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            # answered as GET (RFC 9110, 9.3.2); the server, which keeps a scope of its own, leaves the content away
            scope = {**scope, "method": "GET"}
        asked_id = Headers(scope=scope).get("x-request-id", "")
        request_id = asked_id if GOOD_REQUEST_ID.fullmatch(asked_id) else uuid7_hex()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        start = time.perf_counter()
        with self.telemetry.in_flight.track_inprogress():
            try:
                await self._answer(scope, receive, told)
            except ClientDisconnect:
                status = status or 499
            except Exception as error:
                log.exception("unexpected_error", method=scope["method"], path=scope["path"])
                if status:
                    # the answer is under way: only a broken connection can tell the client that it is not whole
                    raise
                detail = f"an unexpected {type(error).__name__}; the log has it under this request's id"
                await problem(500, "internal", detail)(scope, receive, told)
            finally:
                self._done(scope, status or 500, time.perf_counter() - start)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if why := refusal(scope, local_only=self.local_only):
            await problem(*why)(scope, receive, send)
        elif known := await self.shortcut(scope):
            await known(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _done(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        # a method that a client made up must not make a series
        method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "DELETE", "PATCH", "PUT"} else "OTHER"
        self.telemetry.answered(method, route, status, seconds)
        quiet = route in QUIET or status == 304
        if quiet and not LINES.isEnabledFor(logging.DEBUG):
            return  # asked first: nothing else is done as often, and a line that is not written takes as long to make
        write = log.debug if quiet else log.info
        write("request", method=method, path=scope["path"], status=status, ms=round(seconds * 1000, 1))
