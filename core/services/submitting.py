"""New jobs: several at once are one transaction, each with its own outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from core.db.session import now, written
from core.db.tables import Job, JobEvent, JobSpecs, JobTag
from core.db.types import Written
from core.ids import JOB, new_id
from core.services.datasets import SchemaFinder
from core.services.job_view import JobView, JobWarning, places, view_of_new
from core.services.lifecycle import numbered
from core.services.principal import Principal
from core.services.recent import Recent
from core.spec.cohorts import Load, cohort_key
from core.spec.dataset import DatasetSchema
from core.spec.limits import Limits
from core.spec.plan import Plan, check_job
from core.states import Status

DEFAULT_QUEUE = "wake.cpu"


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that somebody asks for; `parent` is the job that it was cloned from."""

    principal: Principal
    body: object
    limits: Limits
    queue: str = DEFAULT_QUEUE
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submission whose spec is sound, with all that its rows say but the moment."""

    submission: Submission
    plan: Plan
    schema: DatasetSchema
    dataset_id: str | None
    cohort_key: str | None


def accept(session: Session, submission: Submission) -> Accepted:
    """The submission, checked; nobody deletes its data set until the transaction ends. Raises Invalid with every
    fault of the body, Forbidden."""
    principal = submission.principal
    principal.require("write")
    finder = SchemaFinder(session, principal, hold=True)
    plan = check_job(submission.body, finder, submission.limits)
    assert finder.schema is not None
    key = cohort_key(plan.spec, project=principal.project, dataset=finder.dataset_id or plan.spec.data.dataset)
    return Accepted(submission, plan, finder.schema, finder.dataset_id, key)


def queue_each(session: Session, accepted: Sequence[Accepted]) -> list[JobView]:
    """The jobs, queued in this order; publish wake-ups after the commit."""
    if not accepted:
        return []
    moment = now(session)
    jobs = [_new_job(moment, one) for one in accepted]
    specs = [_new_specs(job.id, one) for job, one in zip(jobs, accepted, strict=True)]
    warnings = [[JobWarning(w.code, w.pointer, w.detail, None, None) for w in one.plan.warnings] for one in accepted]
    _insert(session, jobs, specs, warnings)
    return [view_of_new(*of) for of in zip(jobs, specs, warnings, _places(session, jobs), strict=True)]


_NEW_JOB, _NEW_SPECS, _NEW_TAG, _NEW_EVENT = (insert(table) for table in (Job, JobSpecs, JobTag, JobEvent))


def _insert(
    session: Session, jobs: Sequence[Job], specs: Sequence[JobSpecs], warnings: Sequence[Sequence[JobWarning]]
) -> None:
    """Writes new jobs' rows as they are: the unit of work would find out again what is known, for twice the time."""
    events: list[dict[str, Any]] = []
    for job, its in zip(jobs, warnings, strict=True):
        announced = [("warning", {"code": w.code, "pointer": w.pointer, "detail": w.detail}) for w in its]
        events += numbered(session, job, [("status", {"status": str(job.status)}), *announced])
    tags = [
        {"job_id": job.id, "project": job.project, "key": key, "value": value}
        for job in jobs
        for key, value in job.tags.items()
    ]
    connection = session.connection()
    connection.execute(_NEW_JOB, [_columns(job) for job in jobs])
    connection.execute(_NEW_SPECS, [_columns(each) for each in specs])
    connection.execute(_NEW_EVENT, events)
    if tags:
        connection.execute(_NEW_TAG, tags)


def _columns(row: Job | JobSpecs) -> dict[str, Any]:
    """The columns that were given a value."""
    return {name: value for name, value in vars(row).items() if name in row.__mapper__.columns}


def _places(session: Session, jobs: Sequence[Job]) -> list[int]:
    """Where the jobs, which queued up this moment one behind the other, stand in their queues."""
    next_: dict[str, int] = {}
    found = []
    for job in jobs:
        place = next_.get(job.queue) or places(session, {job.id: job.queue})[job.id]
        next_[job.queue] = place + 1
        found.append(place)
    return found


def _new_job(moment: datetime, accepted: Accepted) -> Job:
    """The row of a job that has just been accepted."""
    submission, plan = accepted.submission, accepted.plan
    return Job(
        id=new_id(JOB),
        project=submission.principal.project,
        name=plan.spec.name or "",
        tags=dict(plan.spec.tags),
        parent=submission.parent,
        dataset=plan.spec.data.dataset,
        dataset_id=accepted.dataset_id,
        cohort_key=accepted.cohort_key,
        status=Status.QUEUED,
        queue=submission.queue,
        progress=_fresh_progress(plan),
        version=1,
        **dict.fromkeys(_TIMES, moment),
        **dict.fromkeys(_COUNTERS, 0),
    )


_TIMES = ("created_at", "changed_at", "queued_at", "not_before", "dispatched_at")
_COUNTERS = ("fence", "batch", "crashes", "event_seq", "metric_seq", "announced_seq", "change_seq")


def _fresh_progress(plan: Plan) -> dict[str, Any]:
    epochs = plan.spec.training.epochs * (plan.spec.data.split.folds or 1)
    total = {"epoch": 0, "epochs": epochs, "step": 0, "steps": plan.total_steps}
    return {**total, "eta_s": None, "samples_per_s": None}


def _new_specs(job_id: str, accepted: Accepted) -> JobSpecs:
    return JobSpecs(
        job_id=job_id,
        submitted=accepted.submission.body,
        spec=accepted.plan.spec.model_dump(mode="json"),
        schema=_document_of(accepted.schema),
        load=Load.of(accepted.plan).to_json(),
    )


# by which object it is, for to compare them takes as long as to write one; it is kept, so no other takes its number
_SCHEMAS: Recent[int, tuple[DatasetSchema, Written]] = Recent(64)


def _document_of(schema: DatasetSchema) -> Written:
    """A schema as each of its jobs stores it; one of many columns is longer than all else of a job."""
    return _SCHEMAS.get(id(schema), lambda: (schema, written(schema.model_dump(mode="json"))))[1]
