"""Pages of a job's history and of its events, as they are kept and told apart."""

from __future__ import annotations

import json

from sqlalchemy.orm import Session

from api.conditional import to_json
from api.rendered import Page
from api.schemas.history import EventPage, MetricPage
from core.services import events, metrics
from core.services.principal import Principal
from core.services.watch import Head


def metric_page(after: int, limit: int, max_points: int | None = None) -> Page:
    """Rows of the history; numbers have no holes, so the last one's says which rows a page of one run has."""

    def state(head: Head) -> tuple[object, ...]:
        last = end(after, None if max_points else limit, head.last_metric)
        return head.run, last, head.terminal and last >= head.last_metric

    def render(session: Session, who: Principal, job_id: str) -> bytes:
        if max_points is not None:
            page = metrics.page(session, who, job_id, after=after, limit=limit, max_points=max_points)
            return to_json(MetricPage.model_validate(page))
        told = metrics.told(session, who, job_id, after=after, limit=limit)
        end = f'"next_after":{told.next_after},"terminal":{json.dumps(told.terminal)}'
        return f'{{"data":[{",".join(told.rows)}],{end}}}'.encode()

    return Page(("metrics", after, limit, max_points), state, render)


def event_page(after: int, limit: int) -> Page:
    """Events, which are only appended."""

    def render(session: Session, who: Principal, job_id: str) -> bytes:
        return to_json(EventPage.model_validate(events.page(session, who, job_id, after=after, limit=limit)))

    return Page(("events", after, limit), lambda head: told(head, after, limit), render)


def told(head: Head, after: int, limit: int) -> tuple[int, bool]:
    """The number of the last event on a page, and whether nothing will ever follow it."""
    last = end(after, limit, head.last_event)
    return last, head.terminal and last >= head.last_event


def end(after: int, limit: int | None, last: int) -> int:
    """The number of the last entry on a page that begins after `after`; `last` is that of the last one there is."""
    return max(after, last if limit is None else min(last, after + limit))
