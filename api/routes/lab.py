"""The lab: optimizers side by side, first values through many layers, activations over a range; no job needed."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from api.analyses import MEDIA_TYPES, Asking, AskingDep, asks, picture, shown
from api.deps import PartsDep, Reader, Transaction, Wait, Writer, after_commit
from api.documents import binary, conditionals, problems
from api.routes.analyses import AnalysisId
from api.schemas.analyses import Analysis
from core.services import analyses, lab

router = APIRouter(tags=["lab"])
RACE: dict[str, Any] = {
    "surface": "ravine",
    "steps": 100,
    "optimizers": [{"type": "sgd", "lr": 0.015}, {"type": "sgd", "lr": 0.015, "momentum": 0.9}, "adam"],
}
SIGNALS: dict[str, Any] = {
    "depth": 50,
    "combinations": [{"activation": "relu", "init": "he"}, {"activation": "sigmoid", "init": "xavier"}],
}
GALLERY: dict[str, Any] = {"activations": ["sigmoid", "tanh", "relu", {"type": "leaky_relu", "negative_slope": 0.1}]}


@router.post("/v1/lab/optimizers", **asks("OptimizersRequest", RACE, 429))
async def compare_optimizers(asking: AskingDep) -> Response:
    """Sends several optimizers down one surface, or trains one network with each of them."""
    return await _experiment("optimizers", asking)


@router.post("/v1/lab/init", **asks("InitRequest", SIGNALS, 429))
async def compare_inits(asking: AskingDep) -> Response:
    """Sends a batch through many layers and a gradient back, for activations and first values side by side."""
    return await _experiment("init", asking)


@router.post("/v1/lab/activations", **asks("ActivationsRequest", GALLERY, 429))
async def compare_activations(asking: AskingDep) -> Response:
    """Draws activations and their derivatives, which bound what a layer passes back."""
    return await _experiment("activations", asking)


async def _experiment(kind: str, asking: Asking) -> Response:
    return await asking.answered(lambda session, body: lab.ask(session, asking.who, kind, body, asking.parts.limits))


@router.get(
    "/v1/lab/{analysis_id}.svg",
    response_class=Response,
    responses={**conditionals(404, 409), 200: binary(MEDIA_TYPES["svg"], "the picture")},
)
async def experiment_svg(request: Request, analysis_id: AnalysisId, who: Reader, parts: PartsDep) -> Response:
    """The experiment as a picture for a page; paths of optimizers move."""
    return await picture(request, parts, who, analysis_id, job_id=None, kind="svg")


@router.get(
    "/v1/lab/{analysis_id}.png",
    response_class=Response,
    responses={**conditionals(404, 409), 200: binary(MEDIA_TYPES["png"], "the picture")},
)
async def experiment_png(request: Request, analysis_id: AnalysisId, who: Reader, parts: PartsDep) -> Response:
    """The experiment as a picture for a document."""
    return await picture(request, parts, who, analysis_id, job_id=None, kind="png")


@router.get("/v1/lab/{analysis_id}", response_model=Analysis, responses=conditionals(404))
async def read_experiment(
    request: Request, analysis_id: AnalysisId, who: Reader, parts: PartsDep, wait: Wait = 0
) -> Response:
    """One experiment with its data; with `wait`, as soon as it is over."""
    return await shown(request, parts, who, analysis_id, job_id=None, wait_s=wait)


@router.delete("/v1/lab/{analysis_id}", status_code=204, response_class=Response, responses=problems(404))
def delete_experiment(analysis_id: AnalysisId, who: Writer, parts: PartsDep, session: Transaction) -> None:
    """Removes an experiment; one that is under way is stopped. By itself it goes after a week."""
    analyses.delete(session, parts.store, who, analysis_id, job_id=None)
    after_commit(session, partial(parts.queue.notify, analysis_id))
