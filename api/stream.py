"""A job's events as they happen: server-sent events, resumable with `Last-Event-ID`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.schemas.history import Event, EventPage
from api.waiting import news
from api.watcher import Watcher
from core.errors import NotFound

# proxies and browsers take a silent connection for a dead one after about 30 s
KEEP_ALIVE_S = 15.0
PAGE = 500
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
MEDIA_TYPE = "text/event-stream"


def wants_stream(request: Request) -> bool:
    """True when the client prefers events to a page."""
    return MEDIA_TYPE in request.headers.get("accept", "")


def last_seen(last_event_id: str | None, after: int) -> int:
    """The seq to go on from: `Last-Event-ID` when the client comes back, else `after`."""
    told = last_event_id or ""
    return int(told) if told.isdecimal() and len(told) <= 16 else after


def frame(event: Event) -> str:
    """One event on the wire; its data is the same object as in the JSON page."""
    return f"id: {event.seq}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"


async def stream(read: Callable[[int], EventPage], watcher: Watcher, job_id: str, after: int) -> Response:
    """Events after `after` until the job is terminal and all are told.

    One who comes back to a job that is over gets 204, which tells a browser's EventSource to stay away.
    """
    first = await run_in_threadpool(read, after)
    if first.terminal and not first.data and after:
        return Response(status_code=204)
    return StreamingResponse(_frames(first, read, watcher, job_id), headers=HEADERS, media_type=MEDIA_TYPE)


async def _frames(
    page: EventPage, read: Callable[[int], EventPage], watcher: Watcher, job_id: str
) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    while True:
        for event in page.data:
            yield frame(event)
        after = page.next_after
        if page.terminal and len(page.data) < PAGE:
            return
        if not page.data and not await _more(watcher, job_id, after):
            if watcher.closed:
                return
            yield ": still here\n\n"
        try:
            page = await run_in_threadpool(read, after)
        except NotFound:
            return


async def _more(watcher: Watcher, job_id: str, after: int) -> bool:
    return await news(watcher, job_id, lambda head: head.terminal or head.last_event > after, KEEP_ALIVE_S)
