"""A job's metrics and events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from api.deps import After, PartsDep, Reader, RowLimit, Wait
from api.documents import Responses, conditionals
from api.history import event_page, metric_page
from api.polling import Poll
from api.routes.jobs import JobId
from api.schemas.history import EventPage, MetricPage
from api.stream import MEDIA_TYPE, last_seen, stream, wants_stream

router = APIRouter(tags=["history"])
MaxPoints = Annotated[
    int | None, Query(ge=2, le=100_000, description="at most so many rows, chosen so that a plot keeps its extremes")
]
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=100)]
STREAM: Responses = {
    200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
    204: {"description": "a stream taken up again after its job's last event"},
}


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
    poll = Poll(request, parts, who, job_id)
    head = await poll.head()
    if wait and not (head.terminal or head.last_metric > after):
        head = await poll.later(lambda head: head.terminal or head.last_metric > after, wait)
    return await poll.answer(metric_page(after, limit, max_points), head)


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
    poll = Poll(request, parts, who, job_id)
    if wants_stream(request):
        return await stream(poll, last_seen(last_event_id, after))
    head = await poll.head()
    if wait and not (head.terminal or head.last_event > after):
        head = await poll.later(lambda head: head.terminal or head.last_event > after, wait)
    return await poll.answer(event_page(after, limit), head)
