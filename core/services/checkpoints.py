"""Checkpoints as their users handle them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.tables import Checkpoint, Job
from core.errors import Conflict, NotFound
from core.services.jobs import find
from core.services.pages import is_storable
from core.services.principal import Principal
from core.services.retention import drop
from core.states import TERMINAL
from core.storage.store import BlobStore


@dataclass(frozen=True, slots=True)
class CheckpointView:
    """One checkpoint; `sha256` and `bytes` are those of the content, which is one safetensors file."""

    id: str
    job_id: str
    epoch: int
    step: int
    end_of_epoch: bool
    is_best: bool
    is_last: bool
    monitor: str | None
    monitor_value: float | None
    bytes: int
    sha256: str
    created_at: datetime


def list_checkpoints(session: Session, principal: Principal, job_id: str) -> list[CheckpointView]:
    """The job's checkpoints, furthest first."""
    job = find(session, principal, job_id)
    query = select(Checkpoint).where(Checkpoint.job_id == job.id).order_by(Checkpoint.step.desc(), Checkpoint.id.desc())
    return [_view(job, row) for row in session.scalars(query)]


def get(session: Session, principal: Principal, checkpoint_id: str) -> CheckpointView:
    """The checkpoint; raises NotFound, for another project's too."""
    principal.require("read")
    row, job = _find(session, principal, checkpoint_id)
    return _view(job, row)


def choose(session: Session, principal: Principal, job_id: str, which: str) -> CheckpointView:
    """The job's checkpoint `best` (the last one where nothing is monitored), `last`, or of that id.

    Raises NotFound for an id that is not of this job, Conflict when the job has no checkpoint yet.
    """
    job = find(session, principal, job_id)
    if which not in ("best", "last"):
        view = get(session, principal, which)
        if view.job_id != job.id:
            raise NotFound(f"{job.id} has no checkpoint {which[:80]!a}")
        return view
    chosen = (which == "best" and job.best_checkpoint) or job.last_checkpoint
    row = session.get(Checkpoint, chosen) if chosen else None
    if row is None:
        over = job.status in TERMINAL
        hint = "clone it: this run has none to give" if over else "wait until the job has written one"
        raise Conflict(f"{job.id} is {job.status} and has no checkpoint", code="no_checkpoint", hint=hint)
    return _view(job, row)


def delete(session: Session, store: BlobStore, principal: Principal, checkpoint_id: str) -> None:
    """Deletes the checkpoint, and its blobs unless something shares them; Conflict while its job is not over."""
    principal.require("write")
    row, _ = _find(session, principal, checkpoint_id)
    job = find(session, principal, row.job_id, scope="write", lock=True)
    if job.status not in TERMINAL:
        raise Conflict(f"{job.id} is {job.status} and may need it", code="job_not_finished", hint="wait for its end")
    drop(session, store, job, [row])


def _find(session: Session, principal: Principal, checkpoint_id: str) -> tuple[Checkpoint, Job]:
    query = select(Checkpoint, Job).join(Job, Job.id == Checkpoint.job_id)
    query = query.where(Checkpoint.id == checkpoint_id, Job.project == principal.project)
    found = session.execute(query).one_or_none() if is_storable(checkpoint_id) else None
    if found is None:
        raise NotFound(f"there is no checkpoint {checkpoint_id[:80]!a}")
    return found[0], found[1]


def _view(job: Job, row: Checkpoint) -> CheckpointView:
    return CheckpointView(
        id=row.id,
        job_id=row.job_id,
        epoch=row.epoch,
        step=row.step,
        end_of_epoch=row.end_of_epoch,
        is_best=row.id == job.best_checkpoint,
        is_last=row.id == job.last_checkpoint,
        monitor=row.monitor,
        monitor_value=row.monitor_value,
        bytes=row.content_bytes,
        sha256=row.content_sha256,
        created_at=row.created_at,
    )
