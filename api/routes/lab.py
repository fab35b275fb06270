"""The lab: optimizers side by side, first values through many layers, activations over a range; no job needed."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from api.analyses import MEDIA_TYPES, asked, picture, shown
from api.deps import IdempotencyKey, JsonBody, PartsDep, Reader, Transaction, Wait, Writer, after_commit
from api.documents import binary, conditionals, posts, problems, reads
from api.routes.analyses import KNOWN, AnalysisId, AskWait
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


@router.post(
    "/v1/lab/optimizers",
    status_code=201,
    response_model=Analysis,
    openapi_extra=reads({"$ref": "#/components/schemas/OptimizersRequest"}, RACE),
    responses={200: KNOWN, **posts(429)},
)
async def compare_optimizers(
    *, request: Request, who: Writer, body: JsonBody, parts: PartsDep, wait: AskWait = 10, key: IdempotencyKey = None
) -> Response:
    """Sends several optimizers down one surface, or trains one network with each of them."""
    del key  # declared for the document; `once` reads and checks it
    return await asked(
        request,
        parts,
        who,
        body,
        ask=lambda session: lab.ask(session, who, "optimizers", body.value(), parts.limits),
        wait_s=wait,
    )


@router.post(
    "/v1/lab/init",
    status_code=201,
    response_model=Analysis,
    openapi_extra=reads({"$ref": "#/components/schemas/InitRequest"}, SIGNALS),
    responses={200: KNOWN, **posts(429)},
)
async def compare_inits(
    *, request: Request, who: Writer, body: JsonBody, parts: PartsDep, wait: AskWait = 10, key: IdempotencyKey = None
) -> Response:
    """Sends a batch through many layers and a gradient back, for activations and first values side by side."""
    del key  # declared for the document; `once` reads and checks it
    return await asked(
        request,
        parts,
        who,
        body,
        ask=lambda session: lab.ask(session, who, "init", body.value(), parts.limits),
        wait_s=wait,
    )


@router.post(
    "/v1/lab/activations",
    status_code=201,
    response_model=Analysis,
    openapi_extra=reads({"$ref": "#/components/schemas/ActivationsRequest"}, GALLERY),
    responses={200: KNOWN, **posts(429)},
)
async def compare_activations(
    *, request: Request, who: Writer, body: JsonBody, parts: PartsDep, wait: AskWait = 10, key: IdempotencyKey = None
) -> Response:
    """Draws activations and their derivatives, which bound what a layer passes back."""
    del key  # declared for the document; `once` reads and checks it
    return await asked(
        request,
        parts,
        who,
        body,
        ask=lambda session: lab.ask(session, who, "activations", body.value(), parts.limits),
        wait_s=wait,
    )


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
