"""Jobs that are submitted in the same moment: one transaction, one answer for each, durable before it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from sqlalchemy.orm import Session
from starlette.responses import Response

from api import replay
from api.bodies import Body
from api.conditional import answer
from api.schemas.jobs import Job
from api.together import Together
from core.db.session import Sessions, transaction
from core.errors import Invalid, NetmillError
from core.queue import Queue
from core.services import idempotency
from core.services.idempotency import Answered, InProgress, Mine, Replay, Taking
from core.services.job_view import JobView
from core.services.principal import Principal
from core.services.submitting import Accepted, Submission, accept, queue_each
from core.spec.limits import Limits

# so many take some ten milliseconds, for which SQLite lets nobody else write
AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for a job: who asks, with which body and, if any, under which key."""

    who: Principal
    body: Body
    key: str | None
    request_hash: str

    @property
    def taking(self) -> Taking | None:
        return None if self.key is None else Taking(self.who.project, self.key, self.request_hash)


Told = Response | Replay | InProgress


class _NothingDone(Exception):
    """The transaction was given up before its commit."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Submissions:
    """The one way by which submissions come into the database of this process."""

    def __init__(
        self, sessions: Sessions, queue: Queue, executor: Executor, *, limits: Limits, queue_name: str, ttl_s: float
    ) -> None:
        self._sessions = sessions
        self._queue = queue
        self._limits = limits
        self._queue_name = queue_name
        self._ttl_s = ttl_s
        self._together: Together[Asked, Told] = Together(self._do, executor, most=AT_ONCE)

    async def __call__(self, asked: Asked) -> Response:
        """The answer that tells of the new job, or of the one that the key stands for.

        Raises what is wrong with the spec or its key, and Conflict for a key that another request holds for long.
        """
        for _ in range(int(replay.WAIT_S / replay.LOOK_S)):
            told = await self._together(asked)
            if isinstance(told, Replay):
                return replay.replayed(told)
            if isinstance(told, Response):
                return told
            await asyncio.sleep(replay.LOOK_S)
        raise replay.under_way()

    def _do(self, asked: Sequence[Asked]) -> list[Told | Exception]:
        """One transaction for all; when one of them spoils it, one for each."""
        try:
            return self._commit(asked)
        except _NothingDone as nothing:
            if len(asked) == 1:
                return [nothing.reason]
            return [outcome for one in asked for outcome in self._do([one])]

    def _commit(self, asked: Sequence[Asked]) -> list[Told | Exception]:
        queued: list[str] = []
        with transaction(self._sessions) as session:
            try:
                told = self._told(session, asked, queued)
            except Exception as error:
                raise _NothingDone(error) from error
        self._queue.publish_wakes(queued)
        return told

    def _told(self, session: Session, asked: Sequence[Asked], queued: list[str]) -> list[Told | Exception]:
        """What comes of each; the ids of new jobs go to `queued`."""
        told: list[Told | Exception | None] = [*self._by_key(session, asked)]
        accepted: dict[int, Accepted] = {}
        for place, one in enumerate(asked):
            if told[place] is not None:
                continue
            try:
                accepted[place] = accept(session, self._submission(one))
            except NetmillError as error:
                told[place] = error
                if one.key is not None:
                    idempotency.abandon(session, one.who, one.key)
        views = queue_each(session, [*accepted.values()])
        answers: list[Answered] = []
        for place, view in zip(accepted, views, strict=True):
            told[place] = response = created(view)
            queued.append(view.id)
            if (key := asked[place].key) is not None:
                kept = replay.kept_of(response)
                answers.append(Answered(asked[place].who.project, key, kept.status, kept.body, kept.headers))
        idempotency.complete_each(session, answers)
        return [each for each in told if each is not None]

    def _by_key(self, session: Session, asked: Sequence[Asked]) -> list[Replay | InProgress | Invalid | None]:
        """What the keys say already; None for who has none, or the right to answer it."""
        places = [place for place, one in enumerate(asked) if one.taking is not None]
        takings = [taking for one in asked if (taking := one.taking) is not None]
        found: list[Replay | InProgress | Invalid | None] = [None] * len(asked)
        if takings:
            outcomes = idempotency.begin_each(session, takings, ttl_s=self._ttl_s)
            for place, outcome in zip(places, outcomes, strict=True):
                found[place] = None if isinstance(outcome, Mine) else outcome
        return found

    def _submission(self, asked: Asked) -> Submission:
        return Submission(asked.who, asked.body.value(), self._limits, self._queue_name)


def created(view: JobView) -> Response:
    """The answer that tells of a new job."""
    return answer(Job.of(view), status=201, headers={"Location": f"/v1/jobs/{view.id}"})
