"""A job's events as they happen: server-sent events, resumable with `Last-Event-ID`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.history import told
from api.polling import Poll
from api.rendered import Page
from api.schemas.history import Event
from core.errors import NotFound
from core.services import events
from core.services.principal import Principal
from core.services.watch import Head

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


def frames(after: int) -> Page:
    """The next events as they go over the wire; a thousand who follow one job are given the same bytes."""

    def render(session: Session, who: Principal, job_id: str) -> bytes:
        page = events.page(session, who, job_id, after=after, limit=PAGE)
        return "".join(frame(Event.model_validate(event)) for event in page.data).encode()

    return Page(("frames", after), lambda head: told(head, after, PAGE), render)


async def stream(poll: Poll, after: int) -> Response:
    """Events after `after` until the job is terminal and all are told.

    One who comes back to a job that is over gets 204, which tells a browser's EventSource to stay away.
    """
    head = await poll.head()
    if after and told(head, after, PAGE) == (after, True):
        return Response(status_code=204)
    return StreamingResponse(_frames(poll, head, after), headers=HEADERS, media_type=MEDIA_TYPE)


async def _frames(poll: Poll, head: Head, after: int) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    while True:
        try:
            body = await poll.body(frames(after), head)
            if body.content:
                yield body.content
            after, over = told(body.head, after, PAGE)
            if over:
                return
            head = body.head
            while head.last_event <= after and not head.terminal:
                news = await _more(poll, after)
                if poll.parts.jobs.closed:
                    return
                if news is None:
                    yield b": still here\n\n"
                head = news or head
        except NotFound:
            return


async def _more(poll: Poll, after: int) -> Head | None:
    return await poll.news(lambda head: head.terminal or head.last_event > after, KEEP_ALIVE_S)
