"""What routes ask for. Order matters and is kept by construction: who asks, then the body, then the transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import structlog
from fastapi import Depends, Header, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from sqlalchemy.orm import Session

from api import bodies
from api.bodies import Body
from api.idempotency import Once, once
from api.parts import Parts
from api.replay import key_of
from core.db.session import transaction
from core.errors import Unauthenticated
from core.services.principal import LOCAL, Principal

AFTER_COMMIT = "netmill_after_commit"
bearer = HTTPBearer(auto_error=False, description="a key, `nm_...`; embedded mode on loopback needs none")


def parts_of(request: Request) -> Parts:
    """The process's parts. A plain call for dependencies: each that they ask for is solved again wherever it stands."""
    parts: Parts = request.app.state.parts
    return parts


async def get_parts(request: Request) -> Parts:
    """The process's parts, for routes."""
    return parts_of(request)


PartsDep = Annotated[Parts, Depends(get_parts)]


async def get_principal(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Principal:
    """Who asks, as the database knows the key now; no connection is held while a body comes in."""
    del credentials  # declared for the document
    return await principal_of(parts_of(request), request.headers.get("authorization"))


async def principal_of(parts: Parts, authorization: str | None) -> Principal:
    """Who sends this header; raises Unauthenticated."""
    if parts.auth == "off":
        return LOCAL
    scheme, token = get_authorization_scheme_param(authorization)
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("this call needs a key and none was sent")
    who = await parts.principals(token)
    if who is None:
        raise Unauthenticated("the key is unknown, revoked or expired")
    return who


def admit(who: Principal, scope: str) -> None:
    """Raises Forbidden unless they may; the request's log line says who they are."""
    structlog.contextvars.bind_contextvars(project=who.project, key_id=who.key_id)
    who.require(scope)


Who = Annotated[Principal, Depends(get_principal)]


def _with_scope(scope: Literal["read", "write", "admin"]) -> Callable[[Principal], Awaitable[Principal]]:
    # async, so that what is bound here is seen by the request's log line: a thread has its own context
    async def check(who: Who) -> Principal:
        admit(who, scope)
        return who

    return check


Reader = Annotated[Principal, Depends(_with_scope("read"))]
Writer = Annotated[Principal, Depends(_with_scope("write"))]
Admin = Annotated[Principal, Depends(_with_scope("admin"))]


async def get_body(request: Request, who: Who) -> Body:
    """A job spec or another small document; nothing is read of who has no key."""
    del who
    limits = parts_of(request).limits
    return await bodies.read_json(request, limits, most_bytes=limits.spec_bytes, most_values=limits.spec_nodes)


async def get_predict_body(request: Request, who: Who) -> Body:
    """A predict request, which may be longer than a spec and holds more values."""
    del who
    limits = parts_of(request).limits
    # every value takes two bytes at least, so the bytes alone limit their number
    return await bodies.read_json(
        request, limits, most_bytes=limits.predict_bytes, most_values=limits.predict_bytes // 2
    )


JsonBody = Annotated[Body, Depends(get_body)]
PredictBody = Annotated[Body, Depends(get_predict_body)]
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="the same key and request give the same answer for 24 h"),
]


async def get_once(request: Request, who: Who, body: JsonBody, key: IdempotencyKey = None) -> AsyncIterator[Once]:
    """The right to answer this POST once."""
    del key  # declared for the document; `once` reads and checks it
    async with once(request, parts_of(request), who, body.raw) as right:
        yield right


async def get_key(request: Request, key: IdempotencyKey = None) -> str | None:
    """The key of this POST, for what takes it by itself."""
    del key
    return key_of(request)


KeyDep = Annotated[str | None, Depends(get_key)]
OnceDep = Annotated[Once, Depends(get_once, scope="function")]


@contextmanager
def committed(parts: Parts) -> Iterator[Session]:
    """A transaction that stands when the block has ended; what `after_commit` was given runs then."""
    with transaction(parts.sessions) as session:
        yield session
    for action in session.info.pop(AFTER_COMMIT, ()):
        action()


def get_session(request: Request) -> Iterator[Session]:
    """A transaction that is committed before the answer goes out."""
    with committed(parts_of(request)) as session:
        yield session


# scope="function": FastAPI would otherwise commit after the answer has gone out, and a failed commit would answer 201
Transaction = Annotated[Session, Depends(get_session, scope="function")]


def after_commit(session: Session, action: Callable[[], object]) -> None:
    """Runs the action once the transaction stands, and not when it fails."""
    session.info.setdefault(AFTER_COMMIT, []).append(action)


Limit = Annotated[int, Query(ge=1, le=200, description="entries on one page")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before")]
After = Annotated[int, Query(ge=0, le=2**53, description="`seq` after which to begin (exclusive)")]
RowLimit = Annotated[int, Query(ge=1, le=1000, description="rows on one page")]
Wait = Annotated[
    float, Query(ge=0, le=60, allow_inf_nan=False, description="seconds to hold the request until something is new")
]
