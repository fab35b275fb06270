"""A job as it is told to its user."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, select, tuple_
from sqlalchemy.orm import Session, aliased

from core.db.tables import Job, JobEvent, JobSpecs
from core.states import TERMINAL, Status


@dataclass(frozen=True, slots=True)
class Transition:
    """Since when the job had a status."""

    status: str
    time: datetime


@dataclass(frozen=True, slots=True)
class JobWarning:
    """What its user should look at; `epoch` and `step` are None for what the plan or the data gave away."""

    code: str
    pointer: str | None
    detail: str
    epoch: int | None
    step: int | None


@dataclass(frozen=True, slots=True)
class JobChange:
    """A change of the job while it lived; `step` and `epoch` are how many were done when it was made."""

    number: int
    time: datetime
    patch: dict[str, Any]
    status: str
    step: int | None
    epoch: int | None


@dataclass(frozen=True, slots=True)
class JobView:
    """One job. `queue_position` counts from 1, None unless queued; `version` goes up with every change (the ETag)."""

    id: str
    name: str
    tags: dict[str, Any]
    status: str
    terminal: bool
    parent: str | None
    dataset: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    queue_position: int | None
    attempt: int
    transitions: list[Transition]
    progress: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    warnings: list[JobWarning]
    spec: dict[str, Any]
    changes: list[JobChange]
    resume_exact: bool | None
    resume_note: str | None
    environment: dict[str, Any] | None
    cohort: dict[str, Any] | None
    cancel_requested: bool
    pause_requested: bool
    best_checkpoint: str | None
    last_checkpoint: str | None
    version: int


# built once: to build them takes longer than to run them
_SPECS = select(JobSpecs.job_id, JobSpecs.spec, JobSpecs.changes).where(
    JobSpecs.job_id.in_(bindparam("ids", expanding=True))
)
_TOLD = (
    select(JobEvent.job_id, JobEvent.type, JobEvent.time, JobEvent.data)
    .where(JobEvent.job_id.in_(bindparam("ids", expanding=True)), JobEvent.type.in_(("status", "warning")))
    .order_by(JobEvent.job_id, JobEvent.seq)
)


def views_of(session: Session, jobs: Sequence[Job]) -> list[JobView]:
    """The views of some jobs in the same order; three queries, however many they are."""
    ids = [job.id for job in jobs]
    if not ids:
        return []
    session.flush()
    specs = {row.job_id: row for row in session.connection().execute(_SPECS, {"ids": ids})}
    transitions, warnings = _told(session, ids)
    place = places(session, {job.id: job.queue for job in jobs if job.status == Status.QUEUED})
    return [_view(job, specs[job.id], transitions[job.id], warnings[job.id], place.get(job.id)) for job in jobs]


def view_of(session: Session, job: Job) -> JobView:
    """The view of one job."""
    return views_of(session, [job])[0]


def view_of_new(job: Job, specs: JobSpecs, warnings: Sequence[JobWarning], place: int) -> JobView:
    """The view of a job that was just inserted, with its place in the queue."""
    return _view(job, specs, [Transition(str(job.status), job.changed_at)], list(warnings), place)


def _told(session: Session, ids: list[str]) -> tuple[dict[str, list[Transition]], dict[str, list[JobWarning]]]:
    """The status events of each job, which are its transitions, and its warnings; one query for both."""
    transitions: dict[str, list[Transition]] = defaultdict(list)
    warnings: dict[str, list[JobWarning]] = defaultdict(list)
    for row in session.connection().execute(_TOLD, {"ids": ids}):
        if row.type == "status":
            transitions[row.job_id].append(Transition(row.data["status"], row.time))
        else:
            warnings[row.job_id].append(JobWarning(**{name: row.data.get(name) for name in JobWarning.__slots__}))
    return transitions, warnings


_Me = aliased(Job)
_PLACE = (
    select(_Me.id, func.count().label("place"))
    .where(_Me.id == bindparam("id"), Job.status == Status.QUEUED, Job.queue == _Me.queue)
    .where(tuple_(Job.queued_at, Job.id) <= tuple_(_Me.queued_at, _Me.id))
    .group_by(_Me.id)
)
_NUMBERED = (
    select(Job.id, func.row_number().over(partition_by=Job.queue, order_by=(Job.queued_at, Job.id)).label("place"))
    .where(Job.status == Status.QUEUED, Job.queue.in_(bindparam("queues", expanding=True)))
    .subquery()
)
_PLACES = select(_NUMBERED.c.id, _NUMBERED.c.place).where(_NUMBERED.c.id.in_(bindparam("ids", expanding=True)))


def places(session: Session, queues: Mapping[str, str]) -> dict[str, int]:
    """Where queued jobs, given with their queues, stand in them, from 1; the order is that of the claim."""
    if not queues:
        return {}
    connection, ids = session.connection(), list(queues)
    if len(ids) == 1:
        found = connection.execute(_PLACE, {"id": ids[0]})
    else:
        found = connection.execute(_PLACES, {"ids": ids, "queues": sorted(set(queues.values()))})
    return {row.id: row.place for row in found}


def _change(entry: dict[str, Any]) -> JobChange:
    told = {name: entry[name] for name in JobChange.__slots__ if name != "time"}
    return JobChange(**told, time=datetime.fromisoformat(entry["time"]))


def _view(
    job: Job, specs: Row[Any] | JobSpecs, transitions: list[Transition], warnings: list[JobWarning], place: int | None
) -> JobView:
    result = job.result and {
        **job.result,
        "best_checkpoint": job.best_checkpoint,
        "last_checkpoint": job.last_checkpoint,
    }
    return JobView(
        id=job.id,
        name=job.name,
        tags=job.tags,
        status=str(job.status),
        terminal=job.status in TERMINAL,
        parent=job.parent,
        dataset=job.dataset,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        queue_position=place,
        attempt=job.fence,
        transitions=transitions,
        progress=job.progress,
        result=result,
        error=job.error,
        warnings=warnings,
        spec=specs.spec,
        changes=[_change(entry) for entry in specs.changes or ()],
        resume_exact=job.resume_exact,
        resume_note=job.resume_note,
        environment=job.environment,
        cohort={"size": job.cohort_size} if job.cohort_size is not None else None,
        cancel_requested=job.cancel_requested_at is not None,
        pause_requested=job.pause_requested_at is not None,
        best_checkpoint=job.best_checkpoint,
        last_checkpoint=job.last_checkpoint,
        version=job.version,
    )
