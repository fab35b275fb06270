"""How far jobs are, for everybody who waits or asks again: one query, however many they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from core.db.tables import Job
from core.errors import NotFound
from core.services.job_view import places
from core.services.pages import is_storable
from core.services.principal import Principal
from core.states import TERMINAL, Status


@dataclass(frozen=True, slots=True)
class Head:
    """How far a job is. Two looks that find the same head would find the same job, events and history.

    `place` is its `queue_position`, which changes without the job; `run` changes when rows of the history are taken
    back, which happens at a claim and, for a damaged checkpoint, before the claim's first batch.
    """

    project: str
    version: int
    status: str
    terminal: bool
    last_event: int
    last_metric: int
    run: tuple[int, bool]
    place: int | None = None


# built once: to build it takes longer than to run it
_HEADS = select(
    *(Job.id, Job.project, Job.queue, Job.version, Job.status),
    *(Job.event_seq, Job.metric_seq, Job.fence, Job.batch),
).where(Job.id.in_(bindparam("ids", expanding=True)))


def heads(session: Session, job_ids: Collection[str]) -> dict[str, Head]:
    """The head of each job; one that is missing was deleted or never was. Whoever tells it asks `visible` first."""
    ids = [job_id for job_id in job_ids if is_storable(job_id)]
    rows = session.connection().execute(_HEADS, {"ids": ids}).all() if ids else []
    queued = {row.id: row.queue for row in rows if row.status == Status.QUEUED}
    place = places(session, queued)
    return {
        row.id: Head(
            project=row.project,
            version=row.version,
            status=row.status,
            terminal=row.status in TERMINAL,
            last_event=row.event_seq,
            last_metric=row.metric_seq,
            run=(row.fence, row.batch > 0),
            place=place.get(row.id),
        )
        for row in rows
    }


def visible(head: Head | None, principal: Principal, job_id: str) -> Head:
    """The head, for one who may read it; raises NotFound for none and for another project's, Forbidden."""
    principal.require("read")
    if head is None or head.project != principal.project:
        raise NotFound(f"there is no job {job_id[:80]!a}")
    return head
