"""What a job has to tell, in order. Events are only appended: a reader who remembers a number misses nothing."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.services.history import EventRow, read_events
from core.services.jobs import find
from core.services.principal import Principal
from core.states import TERMINAL


@dataclass(frozen=True, slots=True)
class EventsPage:
    """Some events; `terminal` says that the job is over and the page reaches its last event."""

    data: list[EventRow]
    next_after: int
    terminal: bool


def page(session: Session, principal: Principal, job_id: str, *, after: int = 0, limit: int = 1000) -> EventsPage:
    """The events with a number above `after`, oldest first."""
    job = find(session, principal, job_id)
    data = read_events(session, job.id, after, limit)
    next_after = data[-1].seq if data else after
    return EventsPage(data, next_after, job.status in TERMINAL and next_after >= job.event_seq)
