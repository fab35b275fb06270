"""Which checkpoints a job keeps: new ones in, superfluous ones out, in one transaction with the rows about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from core import events
from core.db.session import now
from core.db.tables import Checkpoint, Job, Question
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


Rules = Mapping[str, Any]
"""The part `checkpoints` of a resolved spec."""
Written = tuple[Job, Rules, Sequence[events.Checkpoint]]
"""What the run of a locked job has just written, and what its spec says about keeping it."""


def store_checkpoints(session: Session, store: BlobStore, written: Iterable[Written]) -> dict[events.Checkpoint, str]:
    """Stores what the rules of each job keep; the ids of the new ones.

    One that a later one of the same batch has made superfluous is never stored. Raises CorruptBlob when a file
    does not have the sha256 that its event names.
    """
    keeping = {job.id: (job, rules, those) for job, rules, those in written if those}
    if not keeping:
        return {}
    stored: dict[str, list[Checkpoint]] = defaultdict(list)
    # without a last one there is none
    resting = [job.id for job, _, _ in keeping.values() if job.last_checkpoint]
    for row in session.scalars(select(Checkpoint).where(Checkpoint.job_id.in_(resting))) if resting else ():
        stored[row.job_id].append(row)
    chosen = [_Choice(job, rules, those, stored[job.id]) for job, rules, those in keeping.values()]
    ids = _insert(session, store, chosen)
    for choice in chosen:
        choice.settle()
    _drop(session, store, [(choice.job, choice.superfluous) for choice in chosen])
    return ids


class _Choice:
    """Which checkpoints of one job stay, those that are stored and those that were just written."""

    def __init__(
        self, job: Job, rules: Rules, written: Sequence[events.Checkpoint], stored: Sequence[Checkpoint]
    ) -> None:
        self.job = job
        self._stored = stored
        found = [Candidate(row.step, row.end_of_epoch, row=row) for row in stored]
        candidates, self._best = _merge(found, job, written)
        self._stay = kept(candidates, self._best, keep_last=rules["keep_last"], keep_best=rules["keep_best"])

    @property
    def new(self) -> list[Candidate]:
        return [c for c in self._stay if c.row is None]

    @property
    def superfluous(self) -> list[Checkpoint]:
        staying = [c.row for c in self._stay]
        return [row for row in self._stored if row not in staying]

    def settle(self) -> None:
        """Notes in the job which is its last and which its best; all that stay have a row."""
        last, best = max(self._stay, key=lambda c: c.step), self._best
        assert last.row is not None
        self.job.last_checkpoint = last.row.id
        best_row = best.row if best is not None and best in self._stay else None
        self.job.best_checkpoint = best_row.id if best_row is not None else None
        if last.step > max((row.step for row in self._stored), default=-1):
            self.job.crashes = 0


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


def _insert(session: Session, store: BlobStore, chosen: Sequence[_Choice]) -> dict[events.Checkpoint, str]:
    files: dict[str, Path] = {}
    for choice in chosen:
        for candidate in choice.new:
            assert candidate.event is not None
            files[candidate.event.content_sha256] = Path(candidate.event.content_path)
            files[candidate.event.state_sha256] = Path(candidate.event.state_path)
    sizes = store.put_many(session, files)
    new: list[dict[str, Any]] = []
    ids: dict[events.Checkpoint, str] = {}
    for choice in chosen:
        for candidate in choice.new:
            assert candidate.event is not None
            new.append(_row(session, choice.job, candidate.event, sizes))
            candidate.row = Checkpoint(**new[-1])
            ids[candidate.event] = candidate.row.id
    if new:
        session.execute(insert(Checkpoint), new)
    return ids


def _row(session: Session, job: Job, event: events.Checkpoint, sizes: Mapping[str, int]) -> dict[str, Any]:
    return {
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


def drop(session: Session, store: BlobStore, job: Job, checkpoints: Sequence[Checkpoint]) -> None:
    """Deletes checkpoints of a locked job with the exports made of them, and the blobs that nothing else shares."""
    ids = {checkpoint.id for checkpoint in checkpoints}
    _drop(session, store, [(job, checkpoints)])
    if job.best_checkpoint in ids:
        job.best_checkpoint = None
    if job.last_checkpoint in ids:
        furthest = select(Checkpoint.id).where(Checkpoint.job_id == job.id)
        job.last_checkpoint = session.scalar(furthest.order_by(Checkpoint.step.desc(), Checkpoint.id.desc()).limit(1))


def _drop(session: Session, store: BlobStore, gone: Sequence[tuple[Job, Sequence[Checkpoint]]]) -> None:
    checkpoints = [checkpoint for _, those in gone for checkpoint in those]
    if not checkpoints:
        return
    ids = [checkpoint.id for checkpoint in checkpoints]
    shas = {sha for c in checkpoints for sha in (c.content_sha256, c.state_sha256)}
    exports = select(Question.sha256).where(Question.checkpoint_id.in_(ids), Question.sha256.is_not(None))
    shas |= {sha for sha in session.scalars(exports) if sha}
    # rows of the session that are gone are asked for no more
    plainly = {"synchronize_session": False}
    session.execute(delete(Question).where(Question.checkpoint_id.in_(ids)).execution_options(**plainly))
    session.execute(delete(Checkpoint).where(Checkpoint.id.in_(ids)).execution_options(**plainly))
    for job, those in gone:
        job.version += bool(those)
    store.release(session, shas)
