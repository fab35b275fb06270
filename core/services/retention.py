"""Which checkpoints a job keeps: new ones in, superfluous ones out, in one transaction with the rows about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from core import events
from core.db.session import now
from core.db.tables import Checkpoint, Job, JobSpecs, Question
from core.ids import CHECKPOINT, new_id
from core.storage.store import BlobStore


@dataclass(eq=False, slots=True)
class Candidate:
    """A checkpoint that is stored already (`row`), or one that the run has just written (`event`)."""

    step: int
    end_of_epoch: bool
    row: Checkpoint | None = None
    event: events.Checkpoint | None = None


def kept(
    candidates: Sequence[Candidate], best: Candidate | None, *, keep_last: int, keep_best: bool
) -> list[Candidate]:
    """Those that stay, furthest last.

    The `keep_last` furthest ones; of those taken in the middle of an epoch the furthest of all counts alone, for it
    is where a resume starts and nothing else. Beside them the best one.
    """
    furthest = sorted(candidates, key=lambda c: c.step)
    counting = [c for c in furthest if c.end_of_epoch or c is furthest[-1]]
    stay = counting[-keep_last:]
    return [best, *stay] if keep_best and best is not None and best not in stay else stay


def store_checkpoints(
    session: Session, store: BlobStore, job: Job, written: Sequence[events.Checkpoint]
) -> dict[events.Checkpoint, str]:
    """Stores what the rules of the locked job keep; the ids of the new ones.

    One that a later one of the same batch has made superfluous is never stored. Raises CorruptBlob when a file
    does not have the sha256 that its event names.
    """
    if not written:
        return {}
    # without a last one there is none
    mine = select(Checkpoint).where(Checkpoint.job_id == job.id)
    stored = session.scalars(mine).all() if job.last_checkpoint else []
    candidates, best = _merge([Candidate(row.step, row.end_of_epoch, row=row) for row in stored], job, written)
    rules = session.execute(select(JobSpecs.spec["checkpoints"]).where(JobSpecs.job_id == job.id)).scalar_one()
    stay = kept(candidates, best, keep_last=rules["keep_last"], keep_best=rules["keep_best"])
    before = max((row.step for row in stored), default=-1)
    ids = {c.event: _insert(session, store, job, c) for c in stay if c.event is not None and c.row is None}
    last = max(stay, key=lambda c: c.step)
    assert last.row is not None
    job.last_checkpoint = last.row.id
    job.best_checkpoint = best.row.id if best in stay and best is not None and best.row is not None else None
    if last.step > before:
        job.crashes = 0
    staying = [c.row for c in stay]
    drop(session, store, job, [row for row in stored if row not in staying])
    return ids


def _merge(
    candidates: list[Candidate], job: Job, written: Sequence[events.Checkpoint]
) -> tuple[list[Candidate], Candidate | None]:
    """All candidates and the best of them. At one step there is one model, so the later of two takes the place."""
    best = next((c for c in candidates if c.row is not None and c.row.id == job.best_checkpoint), None)
    for event in written:
        same = next((c for c in candidates if c.step == event.step), None)
        if same is None or not _equal(same, event):
            candidates = [c for c in candidates if c is not same]
            new = Candidate(event.step, event.end_of_epoch, event=event)
            candidates.append(new)
            best = new if best is not None and best is same else best
            same = new
        best = same if event.is_best else best
    return candidates, best


def _equal(candidate: Candidate, event: events.Checkpoint) -> bool:
    """True when the stored row has the bytes of the event."""
    row = candidate.row
    hashes = (event.content_sha256, event.state_sha256)
    return row is not None and (row.content_sha256, row.state_sha256) == hashes


def _insert(session: Session, store: BlobStore, job: Job, candidate: Candidate) -> str:
    event = candidate.event
    assert event is not None
    files = {event.content_sha256: event.content_path, event.state_sha256: event.state_path}
    # in one order everywhere, so that two jobs that share blobs wait for each other and never in a circle
    sizes = {sha256: store.put(session, Path(files[sha256]), sha256).size for sha256 in sorted(files)}
    stored = {
        "id": new_id(CHECKPOINT),
        "job_id": job.id,
        "fence": job.fence,
        "epoch": event.epoch,
        "step": event.step,
        "end_of_epoch": event.end_of_epoch,
        "monitor": event.monitor,
        "monitor_value": event.monitor_value,
        "content_sha256": event.content_sha256,
        "content_bytes": sizes[event.content_sha256],
        "state_sha256": event.state_sha256,
        "state_bytes": sizes[event.state_sha256],
        "created_at": now(session),
    }
    session.execute(insert(Checkpoint), [stored])
    candidate.row = Checkpoint(**stored)
    return candidate.row.id


def drop(session: Session, store: BlobStore, job: Job, checkpoints: Sequence[Checkpoint]) -> None:
    """Deletes checkpoints of a locked job with the exports made of them, and the blobs that nothing else shares."""
    if not checkpoints:
        return
    ids = [checkpoint.id for checkpoint in checkpoints]
    shas = {sha for c in checkpoints for sha in (c.content_sha256, c.state_sha256)}
    exports = select(Question.sha256).where(Question.checkpoint_id.in_(ids), Question.sha256.is_not(None))
    shas |= {sha for sha in session.scalars(exports) if sha}
    session.execute(delete(Question).where(Question.checkpoint_id.in_(ids)))
    session.execute(delete(Checkpoint).where(Checkpoint.id.in_(ids)))
    if job.best_checkpoint in ids:
        job.best_checkpoint = None
    if job.last_checkpoint in ids:
        furthest = select(Checkpoint.id).where(Checkpoint.job_id == job.id)
        job.last_checkpoint = session.scalar(furthest.order_by(Checkpoint.step.desc(), Checkpoint.id.desc()).limit(1))
    job.version += 1
    store.release(session, shas)
