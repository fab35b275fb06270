"""How a worker takes a job, holds it, reports and gives it up. `claiming`, `recording` and `settling` do the writing.

The job row is the queue of record. A claim raises the fence; every later write of the run begins by locking the row
with that fence and the status `running`, and without such a row the run is over for this worker (Kleppmann 2016: a
lease alone cannot exclude, the store must check a token). Only the database's clock is compared.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Row, and_, select, tuple_, update
from sqlalchemy.orm import Session

from core.changes import Change
from core.db.session import now
from core.db.tables import Checkpoint, Job, JobSpecs
from core.services import change_log
from core.services.claiming import Room, claim, claim_together, resume_point
from core.services.claims import Claim, Control, CrashPolicy, DataRef, ResumePoint, lock
from core.services.history import take_back
from core.services.lifecycle import announce
from core.services.recording import Recorded, Report, record, record_many
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
    "Report",
    "ResumePoint",
    "Room",
    "changes",
    "claim",
    "claim_together",
    "controls",
    "crashed",
    "hand_back",
    "heartbeat",
    "record",
    "record_many",
    "reject_checkpoint",
]


def heartbeat(session: Session, claims: Collection[Claim], lease_s: float) -> dict[str, Control]:
    """Renews the leases; what the user asks of each job. One that is missing is lost: kill its runner now."""
    if not claims:
        return {}
    # locked in the order in which whoever records several jobs locks them, so that neither waits for the other
    held = select(Job.id).where(_held(claims)).order_by(Job.id).with_for_update().cte("held")
    renewed = (
        update(Job)
        .where(Job.id.in_(select(held.c.id)))
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
    pairs = [(claim.job_id, claim.fence) for claim in claims]
    # the ids by themselves as well: SQLite has no index for a list of pairs
    ids = Job.id.in_([job_id for job_id, _ in pairs])
    return and_(Job.status == Status.RUNNING, ids, tuple_(Job.id, Job.fence).in_(pairs))


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
    resume = resume_point(session, job)
    take_back(session, job, resume.step if resume else -1)
    return resume
