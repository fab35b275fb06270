"""What a worker holds, and the lock that every write of it begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.changes import Change
from core.db.tables import Job
from core.errors import LostLease
from core.states import Status


@dataclass(frozen=True, slots=True)
class DataRef:
    """Where the data stand: `sha256` is None for a built-in set, which the worker makes itself from the spec."""

    name: str
    dataset_id: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """The checkpoint to go on from."""

    checkpoint_id: str
    content_sha256: str
    state_sha256: str
    epoch: int
    step: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker alone may write about, as long as no later claim has raised its fence."""

    job_id: str
    fence: int
    project: str
    worker_id: str
    spec: dict[str, Any]
    schema: dict[str, Any]
    data: DataRef
    resume: ResumePoint | None
    changes: tuple[Change, ...] = ()
    """All that are to be made on the way from the very beginning; `spec` is without them."""
    change_seq: int = 0


@dataclass(frozen=True, slots=True)
class Control:
    """What the user has asked of a running job; `change_seq` is the number of the last change."""

    cancel: bool
    pause: bool
    change_seq: int = 0


@dataclass(frozen=True, slots=True)
class CrashPolicy:
    """How often a job may crash with no new checkpoint between, and how long it waits before it is tried again.

    The n-th crash waits `backoff_s` * 2^(n-1) seconds, at most `max_backoff_s`.
    """

    max_crashes: int = 3
    backoff_s: float = 5.0
    max_backoff_s: float = 600.0


def lock(session: Session, claim: Claim) -> Job:
    """The claim's job, locked until the transaction ends; LostLease when it is somebody else's or does not run."""
    query = select(Job).where(Job.id == claim.job_id, Job.fence == claim.fence, Job.status == Status.RUNNING)
    job = session.scalars(query.with_for_update().execution_options(populate_existing=True)).one_or_none()
    if job is None:
        raise LostLease(f"{claim.job_id} is not held with fence {claim.fence} any more")
    return job
