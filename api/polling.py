"""Requests for one page about one job: whether anything is new is asked first, and only then what it is.

The first question is one row for all who ask in the same moment (`api.gather`). It tells the ETag, so that those who
have the page get 304 from it alone, and those who wait are woken by the watcher without having read anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from api.conditional import CACHING, matches
from api.deps import admit, principal_of
from api.errors import DATABASE_DOWN
from api.parts import Parts
from api.rendered import Body, Page
from api.waiting import while_connected
from core.db.session import reading
from core.errors import NetmillError
from core.services import watch
from core.services.principal import Principal
from core.services.watch import Head, visible


@dataclass(frozen=True, slots=True)
class Poll:
    """Who asks about which job."""

    request: Request
    parts: Parts
    who: Principal
    job_id: str

    @property
    def known(self) -> str | None:
        """The ETags that the client has."""
        return self.request.headers.get("if-none-match")

    async def head(self) -> Head:
        """How far the job is now; raises NotFound, for another project's too."""
        return visible(await self.parts.heads(self.job_id), self.who, self.job_id)

    async def later(self, enough: Callable[[Head], bool], wait_s: float) -> Head:
        """The job's head once it is enough, or after `wait_s`, or when the client is gone."""
        return await while_connected(self.request, self.news(enough, wait_s)) or await self.head()

    async def news(self, enough: Callable[[Head], bool], wait_s: float) -> Head | None:
        """The head that is enough, as the watcher found it for all who wait; None when time is up.

        Raises NotFound when the job was deleted meanwhile.
        """
        found: list[Head | None] = []

        def satisfied(head: Head | None) -> bool:
            if head is None or enough(head):
                found.append(head)
            return bool(found)

        await self.parts.jobs.wait(self.job_id, satisfied, wait_s)
        return visible(found[0], self.who, self.job_id) if found else None

    async def body(self, page: Page, head: Head) -> Body:
        """The page as it is at this head, or at a later one."""
        etag = page.etag(self.job_id, head)
        return await self.parts.rendered.get(
            etag,
            make=lambda: to_thread.run_sync(self._render, page, limiter=self.parts.rendering),
            etag_of_body=lambda body: page.etag(self.job_id, body.head),
        )

    def _render(self, page: Page) -> Body:
        # one snapshot of the database for both, or the bytes would be kept under another state's ETag
        with reading(self.parts.sessions) as session:
            head = visible(watch.heads(session, [self.job_id]).get(self.job_id), self.who, self.job_id)
            return Body(head, page.render(session, self.who, self.job_id))

    async def answer(self, page: Page, head: Head) -> Response:
        """The page with its ETag, or 304 without a look at more than the head when the client has it."""
        self.parts.given.note(self.request.scope, page, self.job_id)
        etag = page.etag(self.job_id, head)
        if matches(self.known, etag):
            return Response(status_code=304, headers={"ETag": etag, "Cache-Control": CACHING})
        body = await self.body(page, head)
        headers = {"ETag": page.etag(self.job_id, body.head), "Cache-Control": CACHING}
        return Response(body.content, headers=headers, media_type="application/json")


async def asked_again(parts: Parts, scope: Scope) -> Response | None:
    """The answer to a GET of a page that was asked for lately, from one who may read it; None for all else.

    Most polls are such, and neither a route nor its parameters have to be found for them once more.
    """
    given = parts.given.find(scope) if scope["method"] == "GET" else None
    if given is None:
        return None
    request = Request(scope)
    if "event-stream" in request.headers.get("accept", ""):
        return None
    try:
        who = await principal_of(parts, request.headers.get("authorization"))
        admit(who, "read")
        poll = Poll(request, parts, who, given.job_id)
        answer = await poll.answer(given.page, await poll.head())
    except (NetmillError, *DATABASE_DOWN):
        return None  # the route meets it too, and says so in full
    scope["route"] = given.route
    return answer
