"""How a worker takes jobs: the one that has waited longest, and with it those that may train together with it.

The company costs nobody its turn. The first job is the oldest whatever its kind; the others go with it because they
cost it little (`core.spec.cohorts`), each with a fence and a lease of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from sqlalchemy import ColumnElement, and_, func, insert, or_, select, update
from sqlalchemy.orm import Session

from core.db.session import now
from core.db.tables import Attempt, Checkpoint, Dataset, Job, JobSpecs
from core.services import change_log
from core.services.claims import Claim, DataRef, ResumePoint
from core.services.history import take_back
from core.services.lifecycle import announce_each
from core.spec.cohorts import OVERTAKING_S, Load
from core.states import Status


@dataclass(frozen=True, slots=True)
class Room:
    """What company a claim may take: jobs at most, bytes of the runner, and how many runners share what waits."""

    most: int = 1
    memory_bytes: int = 0
    runners: int = 1


_ALONE = Room()


def claim(session: Session, *, worker_id: str, queue: str, lease_s: float) -> Claim | None:
    """The job that has waited longest, now this worker's for `lease_s` seconds; None when none may be taken."""
    claims = claim_together(session, worker_id=worker_id, queue=queue, lease_s=lease_s, room=_ALONE)
    return claims[0] if claims else None


def claim_together(session: Session, *, worker_id: str, queue: str, lease_s: float, room: Room) -> list[Claim]:
    """The job that has waited longest and those that train together with it, oldest first; empty when none waits."""
    until = now(session) + timedelta(seconds=lease_s)
    due = _due(session, queue)
    jobs = _take(session, due, 1, worker_id, until)
    if not jobs:
        return []
    riders = _riders(jobs[0], due)
    company = _company(session, jobs[0], room, due, riders)
    if company:
        jobs += _take(session, riders, company, worker_id, until)
    return _begin(session, jobs, worker_id)


def _due(session: Session, queue: str) -> ColumnElement[bool]:
    return and_(Job.status == Status.QUEUED, Job.queue == queue, Job.not_before <= now(session))


def _riders(job: Job, due: ColumnElement[bool]) -> ColumnElement[bool]:
    """Who may ride with it. One that took its runner down since its last checkpoint is tried alone."""
    return and_(due, Job.cohort_key == job.cohort_key, Job.crashes == 0)


def _take(session: Session, which: ColumnElement[bool], most: int, worker_id: str, until: datetime) -> list[Job]:
    """One conditional UPDATE: on PostgreSQL claimers skip rows that another one is taking, on SQLite they queue up."""
    # a CTE: PostgreSQL may look more than once into a subquery that locks, and take more than its limit
    oldest = select(Job.id).where(which).order_by(Job.queued_at, Job.id).limit(most)
    waiting = oldest.with_for_update(skip_locked=True).cte("waiting")
    # by ids alone, which are locked and queued: with the status too a planner may read the whole queue to find them
    taken = (
        update(Job)
        .where(Job.id.in_(select(waiting.c.id)))
        .values(
            status=Status.RUNNING,
            fence=Job.fence + 1,
            batch=0,
            lease_owner=worker_id,
            lease_until=until,
            cancel_requested_at=None,
            pause_requested_at=None,
        )
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return sorted(session.scalars(taken), key=lambda job: (job.queued_at, job.id))


def _company(session: Session, job: Job, room: Room, due: ColumnElement[bool], riders: ColumnElement[bool]) -> int:
    """How many others ride with the job: what there is room for, shared with the runners that wait for work.

    No more of them go before an older job of another kind than that one can bear.
    """
    if room.most <= 1 or job.cohort_key is None or job.crashes:
        return 0
    told = session.scalar(select(JobSpecs.load).where(JobSpecs.job_id == job.id))
    if told is None:
        return 0
    load = Load.read(told)
    company = load.most_together(room.most, room.memory_bytes) - 1
    if company and room.runners > 1:
        waiting = _count(session, riders, company * room.runners)
        company = min(company, math.ceil((waiting + 1) / room.runners) - 1)
    return min(company, _bearable(session, job, due, riders, company)) if company else 0


def _count(session: Session, which: ColumnElement[bool], most: int) -> int:
    """How many jobs there are, counted up to `most`."""
    found = select(Job.id).where(which).limit(most).subquery()
    return session.scalar(select(func.count()).select_from(found)) or 0


def _bearable(session: Session, job: Job, due: ColumnElement[bool], riders: ColumnElement[bool], most: int) -> int:
    """How many of the `most` riders that have waited longest may go: all that are older than the jobs of other kinds,
    and then so many that their work together does not keep those waiting for long."""
    columns = select(Job.queued_at, Job.id, JobSpecs.load).join(JobSpecs, JobSpecs.job_id == Job.id)
    waiting = session.execute(columns.where(riders).order_by(Job.queued_at, Job.id).limit(most)).all()
    seconds = [Load.read(row.load).seconds if row.load else math.inf for row in waiting]
    if sum(seconds) <= OVERTAKING_S:
        return len(waiting)
    other = or_(Job.cohort_key.is_(None), Job.cohort_key != job.cohort_key)
    oldest = select(Job.queued_at, Job.id).where(due, other).order_by(Job.queued_at, Job.id).limit(1)
    found = session.execute(oldest).one_or_none()
    if found is None:
        return len(waiting)
    before = sum((row.queued_at, row.id) < (found.queued_at, found.id) for row in waiting)
    return before + sum(work <= OVERTAKING_S for work in accumulate(seconds[before:]))


def _begin(session: Session, jobs: Sequence[Job], worker_id: str) -> list[Claim]:
    """The claims of jobs that have just been taken; their attempts and events are written."""
    ids = [job.id for job in jobs]
    moment = now(session)
    for job in jobs:
        job.changed_at = max(moment, job.changed_at)
        job.started_at = job.started_at or job.changed_at
        job.attempt_started_at = job.changed_at
        job.cohort_size = len(jobs) if len(jobs) > 1 else None
    attempts = [
        {"job_id": job.id, "fence": job.fence, "worker": worker_id, "started_at": job.changed_at} for job in jobs
    ]
    session.execute(insert(Attempt), attempts)
    resumes = {job.id: _resumed(session, job) for job in jobs}
    started = [
        (job, [("status", {"status": str(Status.RUNNING), "attempt": job.fence})])
        for job in jobs
    ]  # fmt: skip
    announce_each(session, started)
    specs = {row.job_id: row for row in session.scalars(select(JobSpecs).where(JobSpecs.job_id.in_(ids)))}
    stored = select(Dataset.id, Dataset.sha256).where(Dataset.id.in_({job.dataset_id for job in jobs}))
    uploaded = any(job.dataset_id for job in jobs)
    sha256 = {row.id: row.sha256 for row in session.execute(stored)} if uploaded else {}
    return [_claim(job, worker_id, specs[job.id], sha256.get(job.dataset_id or ""), resumes[job.id]) for job in jobs]


def _resumed(session: Session, job: Job) -> ResumePoint | None:
    """Where the job goes on, with what was recorded after that point taken back."""
    if job.fence == 1:
        return None  # never claimed before: there is nothing to go on from
    resume = resume_point(session, job)
    take_back(session, job, resume.step if resume else -1)
    job.progress = {**job.progress, "epoch": resume.epoch if resume else 0, "step": resume.step if resume else 0}
    return resume


def _claim(job: Job, worker_id: str, specs: JobSpecs, sha256: str | None, resume: ResumePoint | None) -> Claim:
    data = DataRef(job.dataset, job.dataset_id, sha256)
    spec, changes = change_log.for_run(specs)
    held = (job.id, job.fence, job.project, worker_id)
    return Claim(*held, spec, specs.schema, data, resume, changes, job.change_seq)


def resume_point(session: Session, job: Job) -> ResumePoint | None:
    """The job's last checkpoint, None without one."""
    last = session.get(Checkpoint, job.last_checkpoint) if job.last_checkpoint else None
    if last is None:
        return None
    return ResumePoint(last.id, last.content_sha256, last.state_sha256, last.epoch, last.step)
