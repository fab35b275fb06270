"""Whether the database answers, who works, and how much waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from core.db.revision import HEAD
from core.db.session import now
from core.db.tables import Job, Worker
from core.services.accounts import accounts
from core.states import TERMINAL, Status


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker and its last sign of life."""

    id: str
    queue: str
    slots: int
    seen_at: datetime


def ping(session: Session) -> None:
    """Returns when the database has answered; raises sqlalchemy's error when it does not."""
    session.execute(select(1))


def at_head(session: Session) -> bool:
    """True when the database has the tables of this version; raises as `ping` when there are none."""
    return bool(session.scalar(text("SELECT version_num FROM alembic_version")) == HEAD)


def workers(session: Session, *, within_s: float = 30.0) -> list[WorkerView]:
    """The workers that were seen within so many seconds."""
    since = now(session) - timedelta(seconds=within_s)
    query = select(Worker).where(Worker.seen_at >= since).order_by(Worker.id)
    return [WorkerView(row.id, row.queue, row.slots, row.seen_at) for row in session.scalars(query)]


def counts(session: Session) -> dict[str, int]:
    """How many jobs have each status, all projects together."""
    query = select(Job.status, func.count().label("jobs")).where(Job.finished_at.is_(None)).group_by(Job.status)
    found = {row.status: row.jobs for row in session.execute(query)}
    for account in accounts(session).values():
        for status in TERMINAL:
            found[status] = found.get(status, 0) + getattr(account, f"jobs_{status}")
    return {str(status): found.get(status, 0) for status in Status}


def queued(session: Session) -> dict[str, int]:
    """How many jobs wait in each queue."""
    query = select(Job.queue, func.count().label("jobs")).where(Job.status == Status.QUEUED).group_by(Job.queue)
    return {row.queue: row.jobs for row in session.execute(query)}
