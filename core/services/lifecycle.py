"""What every change of a job has in common: its version, its events, its transitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import insert, select, tuple_
from sqlalchemy.orm import Session

from core.db.session import now
from core.db.tables import AccountEntry, Attempt, Job, JobEvent, JobSpecs
from core.services import change_log
from core.services.history import count
from core.states import TERMINAL, Status, may_follow

Announced = list[tuple[str, dict[str, Any]]]
"""Events to be told: (type, data)."""


def announce(session: Session, job: Job, events: Announced) -> None:
    """Appends events to the job, which the caller has locked; numbers go on from the last one without a hole."""
    announce_each(session, [(job, events)])


def announce_each(session: Session, told: Iterable[tuple[Job, Announced]]) -> None:
    """As `announce` for several jobs, in one statement."""
    if rows := [row for job, events in told for row in numbered(session, job, events)]:
        # the jobs themselves are written once, by the flush at the end
        with session.no_autoflush:
            session.execute(insert(JobEvent), rows)


def numbered(session: Session, job: Job, events: Announced) -> list[dict[str, Any]]:
    """The rows of these events; the job counts them from here on."""
    rows: list[dict[str, Any]] = []
    time = max(now(session), job.changed_at)
    for kind, data in events:
        job.event_seq += count(kind, data)
        rows.append({"job_id": job.id, "seq": job.event_seq, "type": kind, "time": time, "data": data})
    job.version += bool(events)
    return rows


def move(
    session: Session,
    job: Job,
    status: Status,
    *,
    error: dict[str, Any] | None = None,
    result: dict[str, Any] | None = None,
    **why: Any,
) -> None:
    """The job's next status with its event; the caller has locked the job.

    Times of transitions never go back: not with a clock that is set back, nor between two hosts.
    """
    before = Status(job.status)
    assert may_follow(before, status), f"{before} -> {status}"
    job.changed_at = max(now(session), job.changed_at)
    job.status, job.error, job.result = status, error, result
    job.finished_at = job.changed_at if status in TERMINAL else None
    if status != Status.RUNNING:
        job.lease_owner = job.lease_until = job.cancel_requested_at = job.pause_requested_at = None
    if status == Status.QUEUED:
        # by the clock that a claim compares with: `changed_at` may be ahead of one that was set back
        job.not_before = job.dispatched_at = now(session)
        # one that ran already goes on before those that have not begun; one that its user held back queues up again
        job.queued_at = job.queued_at if before == Status.RUNNING else job.changed_at
    count_over(session, job.project, status, +1)
    count_over(session, job.project, before, -1)
    reasons = {name: value for name, value in why.items() if value is not None}
    announce(session, job, [*_missed(session, job), ("status", {"status": str(status), **reasons})])


def count_over(session: Session, project: str, status: Status, by: int) -> None:
    """Keeps the number of the project's jobs that are over; of those that are not nobody keeps count."""
    if status in TERMINAL:
        session.add(AccountEntry(project=project, **{f"jobs_{status}": by}))


def _missed(session: Session, job: Job) -> list[tuple[str, dict[str, Any]]]:
    """The events of changes that came too late for a job that is over now."""
    if job.status not in TERMINAL or not job.change_seq:
        return []
    return [change_log.told(entry) for entry in change_log.miss(session.get_one(JobSpecs, job.id))]


@contextmanager
def attempts_at_hand(session: Session, jobs: Sequence[Job]) -> Iterator[None]:
    """Within the block the attempts of the jobs' fences are in the session, read in one statement."""
    these = tuple_(Attempt.job_id, Attempt.fence).in_([(job.id, job.fence) for job in jobs])
    # the session itself holds what nobody else does only until the next collection
    held = session.scalars(select(Attempt).where(these)).all() if len(jobs) > 1 else ()
    yield
    del held


def end_attempt(session: Session, job: Job, outcome: str, reason: str | None = None) -> None:
    """Closes the attempt of the job's fence and adds its seconds to the project's account."""
    attempt = session.get_one(Attempt, (job.id, job.fence))
    attempt.ended_at = max(now(session), attempt.started_at)
    attempt.outcome, attempt.reason = outcome, reason
    job.progress = {**job.progress, "eta_s": None}
    # the members of a cohort had the process to one another
    seconds = (attempt.ended_at - attempt.started_at).total_seconds() / (job.cohort_size or 1)
    session.add(AccountEntry(project=job.project, seconds_trained=seconds))
