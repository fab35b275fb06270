"""What has changed, for everybody who waits: one query, however many they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.tables import Job
from core.states import TERMINAL


@dataclass(frozen=True, slots=True)
class Head:
    """How far a job is; a waiter compares it with what it has seen."""

    version: int
    status: str
    terminal: bool
    last_event: int
    last_metric: int


def heads(session: Session, job_ids: Collection[str]) -> dict[str, Head]:
    """The head of each job; one that is missing was deleted. A waiter's principal is checked when it begins."""
    if not job_ids:
        return {}
    query = select(Job.id, Job.version, Job.status, Job.event_seq, Job.metric_seq).where(Job.id.in_(job_ids))
    return {
        row.id: Head(row.version, row.status, row.status in TERMINAL, row.event_seq, row.metric_seq)
        for row in session.execute(query)
    }
