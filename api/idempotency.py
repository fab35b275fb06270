"""`Idempotency-Key`: the same POST twice has one effect and one answer.

The key is taken in a short transaction of its own; the answer is written in the same transaction as the effect, so
the two cannot come apart; a request that failed gives its key back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api import replay
from api.parts import Parts
from core.db.session import Sessions, transaction
from core.services import idempotency
from core.services.principal import Principal


class Replayed(Exception):
    """The request was answered before; `response` is that answer."""

    def __init__(self, response: Response) -> None:
        super().__init__("answered before")
        self.response = response


@dataclass(frozen=True, slots=True)
class Once:
    """The right to answer one key; without a key it does nothing."""

    who: Principal
    key: str | None

    def answer(self, session: Session, response: Response, *, kept: Response | None = None) -> Response:
        """Stores the answer beside its effect and returns it; call it last in the transaction.

        `kept` is stored instead when the answer holds what the database must not: a new key.
        """
        if self.key is not None:
            of = replay.kept_of(kept or response)
            idempotency.complete(session, self.who, self.key, status=of.status, body=of.body, headers=of.headers)
        return response

    def answer_alone(self, sessions: Sessions, response: Response) -> Response:
        """As `answer`, for work that wrote nothing."""
        if self.key is None:
            return response
        with transaction(sessions) as session:
            return self.answer(session, response)


@asynccontextmanager
async def once(
    request: Request, parts: Parts, who: Principal, content: bytes, *, stale_s: float = 60.0
) -> AsyncIterator[Once]:
    """The right to answer this request; raises Replayed, Invalid (the key had another body) or Conflict (too early).

    `stale_s`: seconds after which a request that took the key and never answered is taken for dead.
    """
    key = replay.key_of(request)
    if key is None:
        yield Once(who, None)
        return
    await _take(parts, who, key, replay.fingerprint_of(request, content), stale_s)
    try:
        yield Once(who, key)
    except Exception:  # nothing was answered, so the same request may be sent again
        await run_in_threadpool(_abandon, parts, who, key)
        raise


async def _take(parts: Parts, who: Principal, key: str, fingerprint: str, stale_s: float) -> None:
    """Returns when the key is ours; waits a while for one who has it."""
    for _ in range(int(replay.WAIT_S / replay.LOOK_S)):
        found = await run_in_threadpool(_begin, parts, who, key, fingerprint, stale_s)
        if isinstance(found, idempotency.Mine):
            return
        if isinstance(found, idempotency.Replay):
            raise Replayed(replay.replayed(found))
        await asyncio.sleep(replay.LOOK_S)
    raise replay.under_way()


def _begin(
    parts: Parts, who: Principal, key: str, fingerprint: str, stale_s: float
) -> idempotency.Mine | idempotency.Replay | idempotency.InProgress:
    with transaction(parts.sessions) as session:
        return idempotency.begin(session, who, key, fingerprint, ttl_s=parts.idempotency_ttl_s, stale_s=stale_s)


def _abandon(parts: Parts, who: Principal, key: str) -> None:
    with transaction(parts.sessions) as session:
        idempotency.abandon(session, who, key)
