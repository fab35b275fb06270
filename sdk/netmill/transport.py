"""Requests with a key, retries and typed errors; everything else of this package goes through here."""

from __future__ import annotations

import ipaddress
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from netmill import errors
from netmill.retry import RetryPolicy, is_transient, may_repeat, retry_after_s

Parameters = Mapping[str, str | int | float | bool | Sequence[str] | None]


@dataclass(frozen=True)
class Request:
    """One logical request: repeated as often as the policy allows, always with the same Idempotency-Key.

    `body` is made anew for each attempt, since a stream that was half sent cannot be sent again.
    """

    method: str
    path: str
    params: Parameters | None = None
    body: Callable[[], bytes | Iterator[bytes]] | None = None
    headers: Mapping[str, str] | None = None
    key: str | None = None
    stream: bool = False  # the body is left to be read piece by piece, and a break in it to the caller
    wait_s: float = 0.0  # how long the service may hold the request before it answers (long poll)


class Transport:
    """HTTP to one service."""

    def __init__(self, url: str, key: str | None, timeout_s: float, policy: RetryPolicy, version: str) -> None:
        self.url = _checked_url(url)
        self._timeout_s = timeout_s
        self._policy = policy
        headers = {"User-Agent": f"netmill-python/{version}", "Accept": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {_checked_key(key)}"
        # a proxy from the environment cannot reach this machine's loopback
        self._http = httpx.Client(base_url=self.url, headers=headers, trust_env=not _is_local(self.url))

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, params: Parameters | None = None, *, wait_s: float = 0.0) -> Any:
        """The answer's JSON."""
        if wait_s:
            params = {**(params or {}), "wait": f"{wait_s:g}"}
        return self.json(Request("GET", path, params, wait_s=wait_s))

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        params: Parameters | None = None,
        key: str | None = None,
        wait_s: float = 0.0,
    ) -> Any:
        """The answer's JSON; `key` is the Idempotency-Key, a new one when none is given.

        `wait_s` is how long the service was asked to hold the answer.
        """
        content = b"" if body is None else _as_json(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = Request("POST", path, params, lambda: content, headers, key or new_key(), wait_s=wait_s)
        return self.json(request)

    def patch(self, path: str, body: Any) -> Any:
        """The answer's JSON; carried out once, however often it has to be sent."""
        content = _as_json(body)
        headers = {"Content-Type": "application/json"}
        return self.json(Request("PATCH", path, None, lambda: content, headers, new_key()))

    def json(self, request: Request) -> Any:
        """The JSON of the answer to any request."""
        with self.open(request) as response:
            return _json(response)

    def delete(self, path: str) -> None:
        with self.open(Request("DELETE", path)):
            return

    @contextmanager
    def open(self, request: Request) -> Iterator[httpx.Response]:
        """A good answer; raises the typed error of a bad one."""
        response = self._send(request)
        try:
            yield response
        except httpx.TransportError as error:  # while the body was read
            raise _transport_error(error, self.url) from error
        finally:
            response.close()

    def _send(self, request: Request) -> httpx.Response:
        attempt = 0
        has_key = request.key is not None
        while True:
            attempt += 1
            asked_s: float | None = None
            failure: errors.NetmillError
            try:
                response = self._once(request)
            except httpx.TransportError as error:
                failure = _transport_error(error, self.url)
                failure.__cause__ = error
                # nothing was sent when no connection was made, whatever the method
                repeat = may_repeat(request.method, has_key=has_key) or isinstance(error, httpx.ConnectError)
            else:
                if response.is_success:
                    return response
                problem = _problem(response)
                failure = errors.api_error(problem)
                asked_s = problem.retry_after_s
                repeat = may_repeat(request.method, has_key=has_key) and is_transient(response, has_key=has_key)
            wait_s = self._policy.wait_s(attempt, asked_s) if repeat else None
            if wait_s is None:
                raise failure
            time.sleep(wait_s)

    def _once(self, request: Request) -> httpx.Response:
        headers = dict(request.headers or {})
        if request.key:
            headers["Idempotency-Key"] = request.key
        params = {name: value for name, value in (request.params or {}).items() if value is not None}
        built = self._http.build_request(
            request.method,
            request.path,
            params=params,
            content=request.body() if request.body else None,
            headers=headers,
            timeout=httpx.Timeout(self._timeout_s + request.wait_s, connect=min(self._timeout_s, 5.0)),
        )
        response = self._http.send(built, stream=True)
        if not (request.stream and response.is_success):
            try:
                response.read()
            finally:
                response.close()
        return response


def new_key() -> str:
    """An Idempotency-Key for one logical POST."""
    return uuid.uuid4().hex


def segment(name: str) -> str:
    """A name or id as one segment of a path: whatever was typed, it leads nowhere else."""
    return quote(name, safe="")


def _checked_url(url: str) -> str:
    """The URL without a slash at its end; raises ValueError when no request could go there."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"received the URL {url!r}, which cannot be read: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(
            f"received the URL {url!r}, expected http://HOST:PORT or https://HOST; change NETMILL_URL or --url"
        )
    return url.rstrip("/")


def _checked_key(key: str) -> str:
    """The key; raises ValueError, which does not repeat it, when it cannot stand in a header."""
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError("the key holds characters that no key has (expected nm_…); copy it again into NETMILL_KEY")
    return key


def _as_json(body: Any) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"what was to be sent cannot be written as JSON: {error}") from error


def _json(response: httpx.Response) -> Any:
    content = response.read()
    try:
        return json.loads(content) if content else None
    except ValueError as error:
        raise errors.TransportError(
            f"{response.url} answered with something that is not JSON; is it a Netmill service?"
        ) from error


def _problem(response: httpx.Response) -> errors.Problem:
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    faults = tuple(
        errors.FieldFault(str(fault.get("pointer", "")), str(fault.get("code", "")), str(fault.get("detail", "")))
        for fault in body.get("errors") or ()
        if isinstance(fault, dict)
    )
    return errors.Problem(
        status=response.status_code,
        title=str(body.get("title") or response.reason_phrase),
        detail=str(body.get("detail") or body.get("title") or response.text[:500] or response.reason_phrase),
        code=str(body.get("code") or "unknown"),
        request_id=body.get("request_id") or response.headers.get("X-Request-ID"),
        hint=body.get("hint"),
        errors=faults,
        retry_after_s=retry_after_s(response),
        body=body,
    )


def _transport_error(error: httpx.TransportError, url: str) -> errors.TransportError:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return errors.ConnectionFailed(
            f"no service answers at {url} ({error}); start one with `netmill up`, "
            "or name another by NETMILL_URL or --url"
        )
    if isinstance(error, httpx.TimeoutException):
        return errors.TimedOut(f"{url} did not answer in time ({type(error).__name__})")
    return errors.TransportError(f"the connection to {url} broke: {error or type(error).__name__}")


def _is_local(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
