"""What keeps the promise that every accepted job ends. Every worker does it; doing it twice harms nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from core.db.session import now
from core.db.tables import Analysis, IdempotencyKey, Job, Question, Worker
from core.services.claims import CrashPolicy
from core.services.settling import settle_crash
from core.states import Status
from core.storage.rows import loosen

_AT_ONCE = 100
_FORGET_WORKER_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Swept:
    """Jobs that were put back, that have failed for good, and that a wake-up is to be published for."""

    requeued: list[str]
    failed: list[str]
    wake: list[str]


def sweep(session: Session, *, policy: CrashPolicy, republish_s: float) -> Swept:
    """Ends attempts whose lease ran out and finds queued jobs whose wake-up may have been lost."""
    expired = _lock_running(session, Job.lease_until < now(session))
    requeued: list[str] = []
    failed: list[str] = []
    for job in expired:
        reason = f"no sign of life from worker {job.lease_owner}"
        status = settle_crash(session, job, reason, policy=policy, wait=True)
        (failed if status == Status.FAILED else requeued).append(job.id)
    return Swept(requeued, failed, _unheard(session, republish_s))


def _lock_running(session: Session, which: ColumnElement[bool]) -> list[Job]:
    """Running jobs of that kind, locked; those that another sweep or a worker has locked right now are left out."""
    running = (Job.status == Status.RUNNING, Job.finished_at.is_(None))
    query = select(Job).where(*running, which).order_by(Job.lease_until).limit(_AT_ONCE)
    locking = query.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    return list(session.scalars(locking))


def _unheard(session: Session, republish_s: float) -> list[str]:
    """Jobs that could run and that nobody was told of for so long; they count as told again."""
    moment = now(session)
    query = select(Job.id).where(Job.status == Status.QUEUED, Job.not_before <= moment)
    query = query.where(Job.dispatched_at < moment - timedelta(seconds=republish_s)).limit(_AT_ONCE)
    ids = list(session.scalars(query.with_for_update(skip_locked=True)))
    if ids:
        session.execute(update(Job).where(Job.id.in_(ids)).values(dispatched_at=moment))
    return ids


def release_worker(session: Session, worker_id: str, *, policy: CrashPolicy) -> list[str]:
    """Frees what a dead predecessor of the same id held; a restarted worker calls it before it takes anything.

    The ids of the jobs; its questions are freed as well.
    """
    release_questions(session, worker_id)
    jobs = _lock_running(session, Job.lease_owner == worker_id)
    for job in jobs:
        settle_crash(session, job, f"worker {worker_id} was restarted", policy=policy, wait=False)
    return [job.id for job in jobs]


def release_questions(session: Session, worker_id: str) -> None:
    """Lets others answer what the worker took and will not answer; whoever asked waits for less than its lease."""
    unanswered = update(Question).where(Question.worker == worker_id, Question.status == "running")
    session.execute(unanswered.values(status="queued", worker=None, lease_until=None))


def purge(
    session: Session, *, idempotency_ttl_s: float, answers_ttl_s: float = 3600.0, lab_ttl_s: float = 7 * 86400.0
) -> None:
    """Deletes answers, predictions, experiments and workers that nobody asks for any more.

    Exports stay with their checkpoint, analyses with their job.
    """
    moment = now(session)
    session.execute(
        delete(IdempotencyKey).where(IdempotencyKey.created_at < moment - timedelta(seconds=idempotency_ttl_s))
    )
    old = Question.created_at < moment - timedelta(seconds=answers_ttl_s)
    session.execute(delete(Question).where(old, Question.sha256.is_(None)))
    old_experiment = Analysis.finished_at < moment - timedelta(seconds=lab_ttl_s)
    gone = (Analysis.job_id.is_(None), old_experiment)
    loosen(session, select(Analysis.data_sha256).where(*gone))
    session.execute(delete(Analysis).where(*gone))
    session.execute(delete(Worker).where(Worker.seen_at < moment - timedelta(seconds=_FORGET_WORKER_S)))
