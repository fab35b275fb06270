"""How a worker takes a job, holds it, reports and gives it up. `recording` and `settling` do the writing.

The job row is the queue of record. A claim raises the fence; every later write of the run begins by locking the row
with that fence and the status `running`, and without such a row the run is over for this worker (Kleppmann 2016: a
lease alone cannot exclude, the store must check a token). Only the database's clock is compared.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Row, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from core.changes import Change
from core.db.session import now
from core.db.tables import Attempt, Checkpoint, Dataset, Job, JobSpecs, Metric
from core.services import change_log
from core.services.claims import Claim, Control, CrashPolicy, DataRef, ResumePoint, lock
from core.services.lifecycle import announce
from core.services.recording import Recorded, record
from core.services.retention import drop
from core.services.settling import crashed, hand_back
from core.states import Status
from core.storage.rows import mark_damaged
from core.storage.store import BlobStore

__all__ = [
    "Claim",
    "Control",
    "CrashPolicy",
    "DataRef",
    "Recorded",
    "ResumePoint",
    "changes",
    "claim",
    "controls",
    "crashed",
    "hand_back",
    "heartbeat",
    "record",
    "reject_checkpoint",
]


def claim(session: Session, *, worker_id: str, queue: str, lease_s: float) -> Claim | None:
    """The job that has waited longest, now this worker's for `lease_s` seconds; None when none may be taken."""
    job = _take(session, worker_id, queue, lease_s)
    if job is None:
        return None
    job.changed_at = max(now(session), job.changed_at)
    job.started_at = job.started_at or job.changed_at
    job.attempt_started_at = job.changed_at
    session.add(Attempt(job_id=job.id, fence=job.fence, worker=worker_id, started_at=job.changed_at))
    resume = _resume_point(session, job)
    _take_back_rows(session, job, resume)
    job.progress = {**job.progress, "epoch": resume.epoch if resume else 0, "step": resume.step if resume else 0}
    announce(session, job, [("status", {"status": str(Status.RUNNING), "attempt": job.fence})])
    specs = session.get_one(JobSpecs, job.id)
    sha256 = session.scalar(select(Dataset.sha256).where(Dataset.id == job.dataset_id)) if job.dataset_id else None
    data = DataRef(job.dataset, job.dataset_id, sha256)
    spec, changes = change_log.for_run(specs)
    held = (job.id, job.fence, job.project, worker_id)
    return Claim(*held, spec, specs.schema, data, resume, changes, job.change_seq)


def _take(session: Session, worker_id: str, queue: str, lease_s: float) -> Job | None:
    """One conditional UPDATE: on PostgreSQL claimers skip rows that another one is taking, on SQLite they queue up."""
    moment = now(session)
    waiting = (
        select(Job.id)
        .where(Job.status == Status.QUEUED, Job.queue == queue, Job.not_before <= moment)
        .order_by(Job.queued_at, Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = (
        update(Job)
        .where(Job.id == waiting.scalar_subquery(), Job.status == Status.QUEUED)
        .values(
            status=Status.RUNNING,
            fence=Job.fence + 1,
            batch=0,
            lease_owner=worker_id,
            lease_until=moment + timedelta(seconds=lease_s),
            cancel_requested_at=None,
            pause_requested_at=None,
        )
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return session.scalars(taken).one_or_none()


def _resume_point(session: Session, job: Job) -> ResumePoint | None:
    last = session.get(Checkpoint, job.last_checkpoint) if job.last_checkpoint else None
    if last is None:
        return None
    return ResumePoint(last.id, last.content_sha256, last.state_sha256, last.epoch, last.step)


def _take_back_rows(session: Session, job: Job, resume: ResumePoint | None) -> None:
    """Deletes the history after the point resumed from: the run will record the same rows under the same numbers."""
    step = resume.step if resume else -1
    session.execute(delete(Metric).where(Metric.job_id == job.id, Metric.step > step))
    job.metric_seq = session.scalar(select(func.max(Metric.seq)).where(Metric.job_id == job.id)) or 0


def heartbeat(session: Session, claims: Collection[Claim], lease_s: float) -> dict[str, Control]:
    """Renews the leases; what the user asks of each job. One that is missing is lost: kill its runner now."""
    if not claims:
        return {}
    renewed = (
        update(Job)
        .where(_held(claims))
        .values(lease_until=now(session) + timedelta(seconds=lease_s))
        .returning(*_CONTROLS)
        .execution_options(synchronize_session=False)
    )
    return {row.id: _control(row) for row in session.execute(renewed)}


def controls(session: Session, claims: Collection[Claim]) -> dict[str, Control]:
    """What the user asks of each job, without renewing anything; a job that is missing is lost."""
    if not claims:
        return {}
    return {row.id: _control(row) for row in session.execute(select(*_CONTROLS).where(_held(claims)))}


_CONTROLS = (Job.id, Job.cancel_requested_at, Job.pause_requested_at, Job.change_seq)


def _control(row: Row[str, datetime | None, datetime | None, int]) -> Control:
    return Control(row.cancel_requested_at is not None, row.pause_requested_at is not None, row.change_seq)


def changes(session: Session, claim: Claim, after: int) -> tuple[Change, ...]:
    """The changes that were asked for since, those with a greater number than `after`, in order."""
    specs = session.get(JobSpecs, claim.job_id)
    return change_log.pending(specs, after) if specs is not None else ()


def _held(claims: Collection[Claim]) -> ColumnElement[bool]:
    pairs = [and_(Job.id == claim.job_id, Job.fence == claim.fence) for claim in claims]
    return and_(Job.status == Status.RUNNING, or_(*pairs))


def reject_checkpoint(session: Session, store: BlobStore, claim: Claim, checkpoint_id: str) -> ResumePoint | None:
    """Drops a checkpoint whose bytes are damaged; the one before it, to resume from instead, None to begin anew.

    The history after that point is taken back as at a claim. Raises LostLease.
    """
    job = lock(session, claim)
    bad = session.get(Checkpoint, checkpoint_id)
    if bad is not None and bad.job_id == job.id:
        for sha256 in (bad.content_sha256, bad.state_sha256):
            mark_damaged(session, sha256)
        drop(session, store, job, [bad])
        detail = f"checkpoint {bad.id} of step {bad.step} is damaged; the run goes back to the one before"
        announce(session, job, [("warning", {"code": "checkpoint_damaged", "pointer": None, "detail": detail})])
    resume = _resume_point(session, job)
    _take_back_rows(session, job, resume)
    return resume
