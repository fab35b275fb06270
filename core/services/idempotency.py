"""The same key and body give the same answer: for a day a request that is sent again is not done again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from core.db.session import now
from core.db.tables import IdempotencyKey
from core.db.upsert import insert_those_new
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
    found = begin_each(session, [Taking(principal.project, key, request)], ttl_s=ttl_s, stale_s=stale_s)[0]
    if isinstance(found, Invalid):
        raise found
    return found


@dataclass(frozen=True, slots=True)
class Taking:
    """Who takes which key for which request."""

    project: str
    key: str
    request_hash: str


def begin_each(
    session: Session, takings: Sequence[Taking], *, ttl_s: float, stale_s: float = 60.0
) -> list[Mine | Replay | InProgress | Invalid]:
    """As `begin` for several, what it raises among the outcomes; of two with one key the later is InProgress."""
    for taking in takings:
        _check(taking.key)
    moment = now(session)
    first = {(taking.project, taking.key): place for place, taking in reversed([*enumerate(takings)])}
    rows = [
        {**asdict(takings[place]), "locked_at": moment, "created_at": moment}
        # in one order, so that two who take the same keys do not wait for each other
        for _, place in sorted(first.items())
    ]
    new = insert_those_new(session, IdempotencyKey, rows)
    oldest_answer, oldest_lock = moment - timedelta(seconds=ttl_s), moment - timedelta(seconds=stale_s)
    outcomes: list[Mine | Replay | InProgress | Invalid] = []
    for place, taking in enumerate(takings):
        identity = (taking.project, taking.key)
        if first[identity] != place:
            outcomes.append(InProgress())
        elif identity in new:
            outcomes.append(Mine())
        else:
            outcomes.append(_taken(session, taking, moment, oldest_answer, oldest_lock))
    return outcomes


def _taken(
    session: Session, taking: Taking, moment: datetime, oldest_answer: datetime, oldest_lock: datetime
) -> Mine | Replay | InProgress | Invalid:
    """What becomes of one whose key is there already."""
    mine = (IdempotencyKey.project == taking.project, IdempotencyKey.key == taking.key)
    found = session.scalars(select(IdempotencyKey).where(*mine).with_for_update()).one_or_none()
    if found is None:  # abandoned between the two statements
        return InProgress()
    if found.created_at >= oldest_answer:
        if found.request_hash != taking.request_hash:
            detail = f"the Idempotency-Key {taking.key[:80]!a} was used with another request"
            return Invalid(detail, code="idempotency_key_reused", hint="use a new key for each request")
        if found.status_code is not None:
            return Replay(found.status_code, found.body or "", found.headers or {})
        if found.locked_at > oldest_lock:
            return InProgress()
    found.request_hash, found.locked_at, found.created_at = taking.request_hash, moment, moment
    found.status_code = found.body = found.headers = None
    return Mine()


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer that a key stands for from now on."""

    project: str
    key: str
    status: int
    body: str
    headers: dict[str, Any]


def complete(
    session: Session, principal: Principal, key: str, *, status: int, body: str, headers: dict[str, Any]
) -> None:
    """Stores the answer, in the transaction of the work itself: both are there or neither."""
    complete_each(session, [Answered(principal.project, key, status, body, headers)])


def complete_each(session: Session, answers: Sequence[Answered]) -> None:
    """As `complete` for several."""
    if answers:
        session.flush()
        session.connection().execute(
            _COMPLETE, [{f"{name}_": value for name, value in asdict(answer).items()} for answer in answers]
        )


def abandon(session: Session, principal: Principal, key: str) -> None:
    """Nothing was done: the key is free again."""
    mine = (IdempotencyKey.project == principal.project, IdempotencyKey.key == key)
    session.execute(delete(IdempotencyKey).where(*mine, IdempotencyKey.status_code.is_(None)))


_COMPLETE = (
    update(IdempotencyKey)
    .where(IdempotencyKey.project == bindparam("project_"), IdempotencyKey.key == bindparam("key_"))
    .values(status_code=bindparam("status_"), body=bindparam("body_"), headers=bindparam("headers_"))
)


def _check(key: str) -> None:
    if not 0 < len(key) <= _MAX_KEY or not is_storable(key):
        detail = f"received {len(key)} characters, expected 1 to {_MAX_KEY} without NUL"
        raise Invalid("the Idempotency-Key cannot be used", errors=[FieldError("", "bad_idempotency_key", detail)])
