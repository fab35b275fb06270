"""Answers with an `ETag`, and 304 for those who have them already."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

# kept by the client alone, and asked about each time
CACHING = "private, no-cache"


def etag_of(content: bytes) -> str:
    """A strong validator of these very bytes."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def matches(header: str | None, etag: str) -> bool:
    """True when `If-None-Match` names this validator; weak comparison, as RFC 9110 asks for."""
    if header is None:
        return False
    named = {item.strip().removeprefix("W/") for item in header.split(",")}
    return "*" in named or etag.removeprefix("W/") in named


def to_json(model: BaseModel) -> bytes:
    """The model as JSON; pydantic writes a number that is not finite as null."""
    return model.model_dump_json(by_alias=True).encode()


def answer(model: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The model as the answer to a request that has no condition."""
    return Response(to_json(model), status, headers, "application/json")


def conditional(request: Request, content: bytes, media_type: str = "application/json") -> Response:
    """The content with its ETag, or 304 without it when the client has it."""
    headers = {"ETag": etag_of(content), "Cache-Control": CACHING}
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)


def conditional_model(request: Request, model: BaseModel) -> Response:
    """As `conditional`, for one resource or page."""
    return conditional(request, to_json(model))
