"""Analyses and experiments: a row in the database, a wake-up, a wait on the answer, and its picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import Depends, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api.bodies import Body
from api.conditional import answer, conditional, conditional_model
from api.deps import IdempotencyKey, JsonBody, PartsDep, Writer
from api.documents import posts, reads
from api.idempotency import once
from api.parts import Parts
from api.schemas.analyses import Analysis, AnalysisLinks
from api.waiting import read_when, while_connected
from core.db.session import reading, transaction
from core.errors import Conflict
from core.services import analyses
from core.services.analyses import OVER, AnalysisView
from core.services.principal import Principal

Enter = Callable[[Session, object], tuple[AnalysisView, bool]]
Kind = Literal["svg", "png"]
AskWait = Annotated[
    float, Query(ge=0, le=60, allow_inf_nan=False, description="seconds to hold the request until it is over")
]
MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png"}
# a request that holds its Idempotency-Key so much longer than it waits is dead
_STALE_S = 60.0


@dataclass(frozen=True, slots=True)
class Asking:
    """A request for an analysis or an experiment, and for how long it is held."""

    request: Request
    parts: Parts
    who: Principal
    body: Body
    wait_s: float

    async def answered(self, enter: Enter) -> Response:
        """What `enter` makes of the body, after `wait_s` at the latest: 201 when it is new, 200 when it is known."""
        parts = self.parts
        async with once(self.request, parts, self.who, self.body.raw, stale_s=self.wait_s + _STALE_S) as right:
            view, is_new = await run_in_threadpool(self._entered, enter)
            if not view.over and self.wait_s:
                await while_connected(self.request, _wait(parts, view.id, self.wait_s))
            shown = await run_in_threadpool(_shown, parts, self.who, view)
            headers = {"Location": AnalysisLinks.of(view).self_}
            response = answer(shown, status=201 if is_new else 200, headers=headers)
            return await run_in_threadpool(right.answer_alone, parts.sessions, response)

    def _entered(self, enter: Enter) -> tuple[AnalysisView, bool]:
        with transaction(self.parts.sessions) as session:
            view, is_new = enter(session, self.body.value())
        if is_new:
            self.parts.queue.publish_analysis(view.id)
        return view, is_new


async def get_asking(
    *, request: Request, parts: PartsDep, who: Writer, body: JsonBody, wait: AskWait = 10, key: IdempotencyKey = None
) -> Asking:
    """What every POST of an analysis or an experiment takes."""
    del key  # declared for the document; `once` reads and checks it
    return Asking(request, parts, who, body, wait)


AskingDep = Annotated[Asking, Depends(get_asking)]


def asks(schema: str, example: dict[str, Any], *statuses: int) -> dict[str, Any]:
    """What the route of such a POST declares."""
    return {
        "status_code": 201,
        "response_model": Analysis,
        "openapi_extra": reads({"$ref": f"#/components/schemas/{schema}"}, example),
        "responses": {200: {"model": Analysis, "description": "asked before: the same analysis"}, **posts(*statuses)},
    }


async def _wait(parts: Parts, analysis_id: str, wait_s: float) -> bool:
    # one that is missing was deleted, which the next read says
    return await parts.questions.wait(analysis_id, lambda status: status is None or status in OVER, wait_s)


def _shown(parts: Parts, who: Principal, view: AnalysisView) -> Analysis:
    """As it stands now, with its data."""
    view = view if view.over else _read(parts, who, view.id, view.job_id)
    return Analysis.of(view, analyses.read_data(parts.store, view))


def _read(parts: Parts, who: Principal, analysis_id: str, job_id: str | None) -> AnalysisView:
    with reading(parts.sessions) as session:
        return analyses.get(session, who, analysis_id, job_id=job_id)


async def shown(
    request: Request, parts: Parts, who: Principal, analysis_id: str, *, job_id: str | None, wait_s: float
) -> Response:
    """The analysis with its data; with `wait_s`, as soon as it is over."""
    view = await read_when(
        request,
        read=lambda: _read(parts, who, analysis_id, job_id),
        settled=lambda v: v.over or not wait_s,
        wait=lambda v: _wait(parts, v.id, wait_s),
    )
    return conditional_model(request, await run_in_threadpool(_shown, parts, who, view))


async def picture(
    request: Request, parts: Parts, who: Principal, analysis_id: str, *, job_id: str | None, kind: Kind
) -> Response:
    """The picture of its data; Conflict while there are none."""
    view = await run_in_threadpool(_read, parts, who, analysis_id, job_id)
    if view.data_sha256 is None:
        raise _no_picture(view)
    key = f"{view.data_sha256}.{kind}"
    content = parts.drawn.get(key)
    if content is None:
        content = await to_thread.run_sync(_draw, parts, view, kind, key, limiter=parts.drawing)
    response = conditional(request, content, MEDIA_TYPES[kind])
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return response


def _draw(parts: Parts, view: AnalysisView, kind: Kind, key: str) -> bytes:
    data = analyses.read_data(parts.store, view)
    assert data is not None, "it has succeeded"
    return parts.drawn.draw(kind, data, key)


def _no_picture(view: AnalysisView) -> Conflict:
    if view.error is not None:
        detail = f"{view.id} failed, so there is nothing to draw: {view.error.get('detail')}"
        return Conflict(detail, code="analysis_failed", hint=view.error.get("hint"))
    hint = "GET it with ?wait=60 first"
    return Conflict(f"{view.id} is {view.status} and has no data yet", code="analysis_not_finished", hint=hint)
