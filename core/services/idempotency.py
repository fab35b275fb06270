"""The same key and body give the same answer: for a day a request that is sent again is not done again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core.db.session import now
from core.db.tables import IdempotencyKey
from core.db.upsert import insert_new
from core.errors import FieldError, Invalid
from core.services.pages import is_storable
from core.services.principal import Principal

_MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class Mine:
    """The key is this request's: do the work, then `complete` in its transaction, or `abandon`."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The work was done before; this was the answer."""

    status: int
    body: str
    headers: dict[str, Any]


@dataclass(frozen=True, slots=True)
class InProgress:
    """Another request with the key is under way: wait and begin again."""


def request_hash(method: str, path: str, body: bytes) -> str:
    """What must be equal for two requests to be the same."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(errors="surrogatepass"), body))).hexdigest()


def begin(
    session: Session, principal: Principal, key: str, request: str, *, ttl_s: float, stale_s: float = 60.0
) -> Mine | Replay | InProgress:
    """Takes the key, in a short transaction of its own; `request` is the `request_hash`.

    A request that began `stale_s` ago and never ended holds the key no longer. Raises Invalid (code
    `idempotency_key_reused`) when the key was used with another request.
    """
    _check(key)
    moment = now(session)
    row = {"project": principal.project, "key": key, "request_hash": request, "locked_at": moment, "created_at": moment}
    if insert_new(session, IdempotencyKey, row):
        return Mine()
    found = session.scalars(_query(principal, key).with_for_update()).one_or_none()
    if found is None:  # abandoned between the two statements
        return InProgress()
    expired = found.created_at < moment - timedelta(seconds=ttl_s)
    if not expired and found.request_hash != request:
        detail = f"the Idempotency-Key {key[:80]!a} was used with another request"
        raise Invalid(detail, code="idempotency_key_reused", hint="use a new key for each request")
    if not expired and found.status_code is not None:
        return Replay(found.status_code, found.body or "", found.headers or {})
    if not expired and found.locked_at > moment - timedelta(seconds=stale_s):
        return InProgress()
    found.request_hash, found.locked_at, found.created_at = request, moment, moment
    found.status_code = found.body = found.headers = None
    return Mine()


def complete(
    session: Session, principal: Principal, key: str, *, status: int, body: str, headers: dict[str, Any]
) -> None:
    """Stores the answer, in the transaction of the work itself: both are there or neither."""
    session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.project == principal.project, IdempotencyKey.key == key)
        .values(status_code=status, body=body, headers=headers)
    )


def abandon(session: Session, principal: Principal, key: str) -> None:
    """Nothing was done: the key is free again."""
    mine = (IdempotencyKey.project == principal.project, IdempotencyKey.key == key)
    session.execute(delete(IdempotencyKey).where(*mine, IdempotencyKey.status_code.is_(None)))


def _query(principal: Principal, key: str) -> Any:
    return select(IdempotencyKey).where(IdempotencyKey.project == principal.project, IdempotencyKey.key == key)


def _check(key: str) -> None:
    if not 0 < len(key) <= _MAX_KEY or not is_storable(key):
        detail = f"received {len(key)} characters, expected 1 to {_MAX_KEY} without NUL"
        raise Invalid("the Idempotency-Key cannot be used", errors=[FieldError("", "bad_idempotency_key", detail)])
