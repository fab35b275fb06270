"""Every error as `application/problem+json` (RFC 9457): the one place where a kind of error becomes a status."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy import exc as database_errors
from starlette.exceptions import HTTPException
from starlette.responses import Response

from core import errors
from core.errors import FieldError, NetmillError
from core.spec.locate import Location
from core.spec.sentences import field_error

MEDIA_TYPE = "application/problem+json"
STATUSES: dict[type[NetmillError], int] = {
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.LostLease: 409,
    errors.TooLarge: 413,
    errors.UnsupportedType: 415,
    errors.Malformed: 422,
    errors.Invalid: 422,
    errors.TrainingFailed: 422,
    errors.QuotaExceeded: 429,
    errors.Unavailable: 503,
}
# what Starlette raises by itself, in our words
ROUTING = {
    404: ("no_such_route", "there is nothing at {method} {path}", "GET /openapi.json lists every call"),
    405: ("method_not_allowed", "{method} is not allowed on {path}", "the header Allow lists what is"),
}
DATABASE_DOWN = (database_errors.OperationalError, database_errors.InterfaceError, database_errors.TimeoutError)
log = structlog.get_logger(__name__)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    hint: str | None = None,
    faults: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """The answer for one error; ASCII escapes keep lone surrogates that a client sent from breaking the encoder."""
    body: dict[str, Any] = {
        "type": f"urn:netmill:error:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
    }
    if hint:
        body["hint"] = hint
    if faults:
        body["errors"] = [{"pointer": f.pointer, "code": f.code, "detail": f.detail} for f in faults]
    text = json.dumps({**body, **(more or {})}, ensure_ascii=True, allow_nan=False)
    return Response(text, status, {**(headers or {}), "Cache-Control": "no-store"}, MEDIA_TYPE)


def status_of(error: NetmillError) -> int:
    """The status of the nearest kind in the tree of errors; 500 for a kind that nobody mapped."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def from_netmill(error: NetmillError) -> Response:
    """A fault that the services told apart."""
    status = status_of(error)
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="netmill"'
    faults = error.errors if isinstance(error, errors.Invalid) else ()
    return problem(status, error.code, error.detail, hint=error.hint, faults=faults, headers=headers)


def from_parameters(error: RequestValidationError) -> Response:
    """Faults of path, query and headers, in the words of a faulty body; a pointer begins with the place."""
    faults = [field_error(fault, Location(tuple(fault["loc"]), None, None)) for fault in error.errors()]
    named = ", ".join(fault.pointer.rpartition("/")[2] for fault in faults)
    return problem(422, "invalid_parameter", f"cannot use the parameter {named}", faults=faults)


def from_routing(request: Request, error: HTTPException) -> Response:
    """404 and 405 of the router, and whatever else the framework refuses by itself."""
    code, detail, hint = ROUTING.get(error.status_code, ("refused", str(error.detail), None))
    told = detail.format(method=request.method, path=request.url.path)
    return problem(error.status_code, code, told, hint=hint, headers=error.headers)


def from_database(error: Exception) -> Response:
    """The database is away (503), or it cannot store what was sent (422)."""
    if isinstance(error, DATABASE_DOWN):
        log.error("database_unavailable", error=type(error).__name__, exc_info=error)
        return problem(503, "unavailable", "the database does not answer", headers={"Retry-After": "2"})
    log.warning("database_refused", error=type(error).__name__, exc_info=error)
    return problem(422, "invalid", "a value in the request cannot be stored: too large a number, or a NUL character")


def install(app: FastAPI) -> None:
    """Makes the application answer each of its errors as a problem; the rest is caught by `api.edge`."""

    def on_netmill(_: Request, error: Exception) -> Response:
        assert isinstance(error, NetmillError)
        return from_netmill(error)

    def on_parameters(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return from_parameters(error)

    def on_routing(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return from_routing(request, error)

    app.add_exception_handler(NetmillError, on_netmill)
    app.add_exception_handler(RequestValidationError, on_parameters)
    app.add_exception_handler(HTTPException, on_routing)
    for kind in (*DATABASE_DOWN, database_errors.DataError):
        app.add_exception_handler(kind, lambda _, error: from_database(error))
