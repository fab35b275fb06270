"""A job's metrics and events."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from api.conditional import conditional_model
from api.deps import After, PartsDep, Reader, RowLimit, Wait
from api.documents import Responses, conditionals
from api.parts import Parts
from api.routes.jobs import JobId
from api.schemas.history import EventPage, MetricPage
from api.stream import MEDIA_TYPE, PAGE, last_seen, stream, wants_stream
from api.waiting import news, read_when
from core.db.session import reading
from core.services import events, metrics
from core.services.principal import Principal

router = APIRouter(tags=["history"])
MaxPoints = Annotated[
    int | None, Query(ge=2, le=100_000, description="at most so many rows, chosen so that a plot keeps its extremes")
]
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=100)]
STREAM: Responses = {
    200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
    204: {"description": "a stream taken up again after its job's last event"},
}


def _metrics(
    parts: Parts, who: Principal, job_id: str, *, after: int, limit: int, max_points: int | None = None
) -> MetricPage:
    with reading(parts.sessions) as session:
        page = metrics.page(session, who, job_id, after=after, limit=limit, max_points=max_points)
    return MetricPage.model_validate(page)


def _events(parts: Parts, who: Principal, job_id: str, after: int, limit: int = PAGE) -> EventPage:
    with reading(parts.sessions) as session:
        return EventPage.model_validate(events.page(session, who, job_id, after=after, limit=limit))


@router.get("/v1/jobs/{job_id}/metrics", response_model=MetricPage, responses=conditionals(404))
async def read_metrics(
    *,
    request: Request,
    job_id: JobId,
    who: Reader,
    parts: PartsDep,
    after: After = 0,
    limit: RowLimit = 1000,
    wait: Wait = 0,
    max_points: MaxPoints = None,
) -> Response:
    """Rows of the history after `after`; with `wait`, as soon as there is one."""
    page = await read_when(
        request,
        read=partial(_metrics, parts, who, job_id, after=after, limit=limit, max_points=max_points),
        settled=lambda found: not wait or bool(found.data) or found.terminal,
        wait=lambda _: news(parts.jobs, job_id, lambda head: head.terminal or head.last_metric > after, wait),
    )
    return conditional_model(request, page)


@router.get("/v1/jobs/{job_id}/events", response_model=EventPage, responses={**conditionals(404), **STREAM})
async def read_events(
    *,
    request: Request,
    job_id: JobId,
    who: Reader,
    parts: PartsDep,
    after: After = 0,
    limit: RowLimit = 1000,
    wait: Wait = 0,
    last_event_id: LastEventId = None,
) -> Response:
    """What happened to a job, in order: a page, or a stream for those who accept `text/event-stream`."""
    if wants_stream(request):
        return await stream(partial(_events, parts, who, job_id), parts.jobs, job_id, last_seen(last_event_id, after))
    page = await read_when(
        request,
        read=partial(_events, parts, who, job_id, after, limit),
        settled=lambda found: not wait or bool(found.data) or found.terminal,
        wait=lambda _: news(parts.jobs, job_id, lambda head: head.terminal or head.last_event > after, wait),
    )
    return conditional_model(request, page)
