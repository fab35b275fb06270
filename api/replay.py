"""What of an answer is kept under its `Idempotency-Key`, and how it is told again."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from core.errors import Conflict, Invalid
from core.services import idempotency

GOOD_KEY = re.compile(r"[\x21-\x7e]{1,255}")
KEPT_HEADERS = ("location", "content-type")
WAIT_S = 5.0
LOOK_S = 0.1


def kept_of(response: Response) -> idempotency.Replay:
    """What is stored of an answer."""
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    return idempotency.Replay(response.status_code, bytes(response.body).decode(), headers)


def replayed(found: idempotency.Replay) -> Response:
    """The stored answer, told again."""
    return Response(found.body, found.status, {**found.headers, "Idempotent-Replayed": "true"})


def under_way() -> Conflict:
    """What is said when another request has held the key for as long as one waits."""
    return Conflict(
        f"a request with this Idempotency-Key is still under way after {WAIT_S:.0f} s",
        code="idempotency_key_in_use",
        hint="send the same request again later: it will get the same answer",
        retry_after_s=WAIT_S,
    )


def fingerprint_of(request: Request, content: bytes) -> str:
    """What must be equal for two requests to be the same."""
    return idempotency.request_hash(request.method, f"{request.url.path}?{request.url.query}", content)


def key_of(request: Request) -> str | None:
    """The key that was sent; raises Invalid when it cannot be one."""
    key = request.headers.get("idempotency-key")
    if key is not None and not GOOD_KEY.fullmatch(key):
        raise Invalid(
            f"received an Idempotency-Key of {len(key)} characters, expected 1 to 255 printable ASCII characters "
            "without spaces: send a UUID, for instance",
            code="invalid_key",
        )
    return key
