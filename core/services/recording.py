"""A run's events as rows: history, progress, checkpoints, warnings, and the end, a batch in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.bulk import History, insert_metrics
from core.db.session import now
from core.db.tables import Job, JobEvent, JobSpecs
from core.errors import LostLease
from core.events import (
    Changed,
    Checkpoint,
    Event,
    Failed,
    Finished,
    Log,
    Metrics,
    MetricsLine,
    Progress,
    Started,
    Stopped,
    Told,
    Warned,
    to_line,
)
from core.services import change_log
from core.services.claims import Claim
from core.services.history import stretch
from core.services.lifecycle import Announced, announce_each, attempts_at_hand
from core.services.retention import store_checkpoints
from core.services.settling import finish
from core.states import Status
from core.storage.store import BlobStore

_MAX_LOG = 10_000


@dataclass(frozen=True, slots=True)
class Recorded:
    """The job's status after the batch, and the checkpoints that it stored and kept."""

    status: Status
    checkpoints: list[str]


@dataclass(frozen=True, slots=True)
class Report:
    """What the run of a claim has told since its last batch; `batch` counts 1, 2, 3, ... in one claim."""

    claim: Claim
    events: Sequence[Told]
    batch: int


def record(session: Session, store: BlobStore, claim: Claim, events: Sequence[Told], *, batch: int) -> Recorded:
    """As `record_many` for one claim. Raises LostLease, and then nothing may be written any more."""
    (recorded,) = record_many(session, store, [Report(claim, events, batch)])
    if recorded is None:
        raise LostLease(f"{claim.job_id} is not held with fence {claim.fence} any more")
    return recorded


def record_many(session: Session, store: BlobStore, reports: Sequence[Report]) -> list[Recorded | None]:
    """Writes the events of each in order; a Finished, Stopped or Failed, which must be the last, ends the attempt.

    None for one whose lease is lost: of it nothing is written, and nothing may be any more; the others stand. A batch
    that was committed before is not written again, so the caller may repeat all after a COMMIT whose answer was lost.
    """
    jobs = _lock(session, [report.claim for report in reports])
    # the jobs' own columns go out once, at the end, and not before each query of their events
    with session.no_autoflush:
        batches = [
            _Batch(session, job, report)
            for report in reports
            if (job := jobs.get(report.claim.job_id)) and job.batch < report.batch and job.status == Status.RUNNING
        ]
        ids = _write(session, store, batches)
    recorded: list[Recorded | None] = []
    for report in reports:
        job = jobs.get(report.claim.job_id)
        # its batch is what was asked for: written now, or before
        is_there = job is not None and job.batch >= report.batch
        stored = [ids[event] for event in report.events if isinstance(event, Checkpoint) and event in ids]
        recorded.append(Recorded(Status(job.status), stored) if job is not None and is_there else None)
    return recorded


def _write(session: Session, store: BlobStore, batches: Sequence[_Batch]) -> dict[Checkpoint, str]:
    """Writes all batches, a statement for each kind of row; the ids of the checkpoints that were kept."""
    ids = store_checkpoints(session, store, [(each.job, each.rules, each.checkpoints) for each in batches])
    insert_metrics(session, [each.numbered() for each in batches], now(session))
    announce_each(session, [(each.job, each.told(ids)) for each in batches])
    ended = [(each.job, each.end) for each in batches if each.end is not None]
    with attempts_at_hand(session, [job for job, _ in ended]):
        for job, end in ended:
            finish(session, job, end)
    return ids


def _lock(session: Session, claims: Sequence[Claim]) -> dict[str, Job]:
    """The jobs as these fences left them, running or not; one that another claim came after is missing."""
    fences = {claim.job_id: claim.fence for claim in claims}
    # in one order everywhere, so that no two transactions wait for each other
    query = select(Job).where(Job.id.in_(fences)).order_by(Job.id).with_for_update()
    found = session.scalars(query.execution_options(populate_existing=True))
    return {job.id: job for job in found if job.fence == fences[job.id]}


class _Batch:
    """Events sorted into what is to be written; numbers are given as they come."""

    def __init__(self, session: Session, job: Job, report: Report) -> None:
        self._session = session
        self.job = job
        self.rules = report.claim.spec["checkpoints"]
        self._rows: list[MetricsLine] = []
        self._seq, self._announced_seq = job.metric_seq, job.announced_seq
        # a checkpoint's entry is filled in when it is known whether it was kept
        self._announced: list[tuple[str, dict[str, Any]] | Checkpoint] = []
        self.checkpoints: list[Checkpoint] = []
        self.end: Finished | Failed | Stopped | None = None
        job.batch = report.batch
        job.version += 1
        rows: list[MetricsLine] = []
        for event in report.events:
            if isinstance(event, str):
                rows.append(event)
                continue
            self._add_rows(rows)
            rows = []
            self._add(event)
        self._add_rows(rows)

    def _add(self, event: Event) -> None:
        assert self.end is None, f"{event} comes after the end"
        match event:
            case Metrics():
                self._add_rows([MetricsLine(to_line(self.job.id, event))])
            case Progress():
                self.job.progress = {name: getattr(event, name) for name in Progress.__slots__}
            case Checkpoint():
                self.checkpoints.append(event)
                self._announced.append(event)
            case Warned():
                self._add_warning(event)
            case Changed():
                self._add_change(event)
            case Log():
                self._announced.append(("log", {"message": event.message[:_MAX_LOG]}))
            case Started():
                self._start(event)
            case Finished() | Failed() | Stopped():
                self.end = event

    def _add_rows(self, rows: list[MetricsLine]) -> None:
        if not rows:
            return
        assert self.end is None, "rows come after the end"
        self._rows += rows
        first = self._seq + 1
        self._seq += len(rows)
        if self.job.resume_exact:
            # Rows that a resumed run records again bit for bit were announced before; readers of events have them.
            first = max(first, self._announced_seq + 1)
        self._announced_seq = max(self._announced_seq, self._seq)
        if first > self._seq:
            return
        before = self._announced[-1] if self._announced else None
        if isinstance(before, tuple) and before[0] == "metrics":
            before[1]["last"] = self._seq
        else:
            self._announced.append(stretch(first, self._seq))

    def _add_warning(self, event: Warned) -> None:
        data = {name: getattr(event, name) for name in Warned.__slots__}
        query = select(JobEvent.data).where(JobEvent.job_id == self.job.id, JobEvent.type == "warning")
        if data not in self._session.scalars(query).all():
            self._announced.append(("warning", data))

    def _add_change(self, event: Changed) -> None:
        made = change_log.make(self._session.get_one(JobSpecs, self.job.id), event)
        # one that a resumed run makes again is known
        if made is not None:
            self._announced.append(change_log.told(made))
            epochs = event.fields.get("epochs", self.job.progress["epochs"])
            self.job.progress = {**self.job.progress, "epochs": epochs}

    def _start(self, event: Started) -> None:
        job = self.job
        job.environment = event.environment
        # once inexact, for ever inexact: what came before cannot be made right by a later resume
        if job.resume_exact is not False or job.fence == 1:
            job.resume_exact, job.resume_note = event.resume_exact, event.resume_note
        job.progress = {**job.progress, "steps": event.total_steps}

    def numbered(self) -> History:
        """The rows to be appended to the job's history, which are counted from here on."""
        first = self.job.metric_seq + 1
        self.job.metric_seq, self.job.announced_seq = self._seq, self._announced_seq
        return self.job.id, first, self._rows

    def told(self, checkpoint_ids: Mapping[Checkpoint, str]) -> Announced:
        """The events to be appended; a checkpoint that was not kept is none."""
        events: Announced = []
        for entry in self._announced:
            if not isinstance(entry, Checkpoint):
                events.append(entry)
            elif checkpoint_id := checkpoint_ids.get(entry):
                about = {"epoch": entry.epoch, "step": entry.step, "is_best": entry.is_best}
                events.append(("checkpoint", {"id": checkpoint_id, **about}))
        return events
