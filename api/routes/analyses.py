"""Analyses of a job's checkpoints: ask, list, read, draw, delete."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api.analyses import MEDIA_TYPES, AskingDep, asks, picture, shown
from api.conditional import conditional_model
from api.deps import Cursor, Limit, PartsDep, Reader, Transaction, Wait, Writer, after_commit
from api.documents import binary, conditionals, problems
from api.routes.jobs import JobId
from api.schemas.analyses import Analysis, AnalysisPage
from core.db.session import reading
from core.services import analyses

router = APIRouter(tags=["analyses"])
AnalysisId = Annotated[str, Path(min_length=1, max_length=100)]


@router.post(
    "/v1/jobs/{job_id}/analyses",
    **asks("AnalysisRequest", {"type": "confusion", "checkpoint": "best"}, 404, 429),
)
async def analyse_job(job_id: JobId, asking: AskingDep) -> Response:
    """Asks for an analysis of a checkpoint; what was asked before is answered from what is stored."""
    limits = asking.parts.limits
    return await asking.answered(lambda session, body: analyses.ask(session, asking.who, job_id, body, limits))


@router.get("/v1/jobs/{job_id}/analyses", response_model=AnalysisPage, responses=conditionals(404))
def list_analyses(
    *, request: Request, job_id: JobId, who: Reader, parts: PartsDep, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """The job's analyses, newest first, without their data."""
    with reading(parts.sessions) as session:
        page = AnalysisPage.of(analyses.list_analyses(session, who, job_id, limit=limit, cursor=cursor))
    return conditional_model(request, page)


@router.get(
    "/v1/jobs/{job_id}/analyses/{analysis_id}.svg",
    response_class=Response,
    responses={**conditionals(404, 409), 200: binary(MEDIA_TYPES["svg"], "the picture")},
)
async def analysis_svg(
    request: Request, job_id: JobId, analysis_id: AnalysisId, who: Reader, parts: PartsDep
) -> Response:
    """The analysis as a picture, for a page."""
    return await picture(request, parts, who, analysis_id, job_id=job_id, kind="svg")


@router.get(
    "/v1/jobs/{job_id}/analyses/{analysis_id}.png",
    response_class=Response,
    responses={**conditionals(404, 409), 200: binary(MEDIA_TYPES["png"], "the picture")},
)
async def analysis_png(
    request: Request, job_id: JobId, analysis_id: AnalysisId, who: Reader, parts: PartsDep
) -> Response:
    """The analysis as a picture, for a document."""
    return await picture(request, parts, who, analysis_id, job_id=job_id, kind="png")


@router.get("/v1/jobs/{job_id}/analyses/{analysis_id}", response_model=Analysis, responses=conditionals(404))
async def read_analysis(
    *, request: Request, job_id: JobId, analysis_id: AnalysisId, who: Reader, parts: PartsDep, wait: Wait = 0
) -> Response:
    """One analysis with its data; with `wait`, as soon as it is over."""
    return await shown(request, parts, who, analysis_id, job_id=job_id, wait_s=wait)


@router.delete(
    "/v1/jobs/{job_id}/analyses/{analysis_id}",
    status_code=204,
    response_class=Response,
    responses=problems(404),
)
def delete_analysis(job_id: JobId, analysis_id: AnalysisId, who: Writer, parts: PartsDep, session: Transaction) -> None:
    """Removes an analysis; one that is under way is stopped."""
    analyses.delete(session, parts.store, who, analysis_id, job_id=job_id)
    after_commit(session, partial(parts.queue.notify, analysis_id))
