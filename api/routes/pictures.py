"""Learning curves as pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from api import drawing
from api.conditional import conditional
from api.deps import PartsDep, Reader
from api.documents import binary, conditionals
from api.parts import Parts
from api.routes.jobs import JobId
from core.db.session import reading
from core.services import jobs, metrics
from core.services.principal import Principal

router = APIRouter(tags=["pictures"])
MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png"}
# more points than that no picture shows
POINTS = 2000
LOOKS = 300


Draw = Callable[[Parts, Principal, str, Literal["svg", "png"]], bytes]


def _draw(parts: Parts, who: Principal, job_id: str, kind: Literal["svg", "png"]) -> bytes:
    with reading(parts.sessions) as session:
        view = jobs.get(session, who, job_id)
        # a mean over folds needs every fold's row of an epoch
        most = None if view.spec["data"]["split"].get("folds") else POINTS
        page = metrics.page(session, who, job_id, limit=10**9, max_points=most, layers=False)
    best_epoch = (view.result or {}).get("best_epoch")
    rows = [(row.epoch, row.step, row.values) for row in page.data]
    folds = [row.fold for row in page.data]
    in_folds = folds if any(fold is not None for fold in folds) else ()
    return drawing.draw(kind, drawing.Curves(view.name or view.id, view.status, rows, best_epoch, in_folds))


def _draw_layers(parts: Parts, who: Principal, job_id: str, kind: Literal["svg", "png"]) -> bytes:
    with reading(parts.sessions) as session:
        view = jobs.get(session, who, job_id)
        page = metrics.page(session, who, job_id, limit=10**9, max_points=LOOKS, layers=True)
    network = view.spec["network"]
    types = [layer["type"] for layer in (*network["layers"], *(network["head"] or ()))]
    rows = [(row.step, row.values) for row in page.data]
    return drawing.draw_layers(kind, drawing.Layers(view.name or view.id, view.status, rows, types))


async def _picture(
    request: Request, parts: Parts, who: Principal, job_id: str, kind: Literal["svg", "png"], *, draw: Draw = _draw
) -> Response:
    content = await to_thread.run_sync(draw, parts, who, job_id, kind, limiter=parts.drawing)
    response = conditional(request, content, MEDIA_TYPES[kind])
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return response


@router.get(
    "/v1/jobs/{job_id}/plot.svg",
    response_class=Response,
    responses={**conditionals(404), 200: binary(MEDIA_TYPES["svg"], "the picture")},
)
async def plot_svg(request: Request, job_id: JobId, who: Reader, parts: PartsDep) -> Response:
    """Loss and metrics over the epochs, for a page."""
    return await _picture(request, parts, who, job_id, "svg")


@router.get(
    "/v1/jobs/{job_id}/plot.png",
    response_class=Response,
    responses={**conditionals(404), 200: binary(MEDIA_TYPES["png"], "the picture")},
)
async def plot_png(request: Request, job_id: JobId, who: Reader, parts: PartsDep) -> Response:
    """Loss and metrics over the epochs, for a document."""
    return await _picture(request, parts, who, job_id, "png")


@router.get(
    "/v1/jobs/{job_id}/layers.svg",
    response_class=Response,
    responses={**conditionals(404), 200: binary(MEDIA_TYPES["svg"], "the picture")},
)
async def layers_svg(request: Request, job_id: JobId, who: Reader, parts: PartsDep) -> Response:
    """Gradients, updates and activations of each layer over the steps, where monitor.layers asked for them."""
    return await _picture(request, parts, who, job_id, "svg", draw=_draw_layers)


@router.get(
    "/v1/jobs/{job_id}/layers.png",
    response_class=Response,
    responses={**conditionals(404), 200: binary(MEDIA_TYPES["png"], "the picture")},
)
async def layers_png(request: Request, job_id: JobId, who: Reader, parts: PartsDep) -> Response:
    """Gradients, updates and activations of each layer over the steps, for a document."""
    return await _picture(request, parts, who, job_id, "png", draw=_draw_layers)
