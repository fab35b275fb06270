"""Predictions and exports: what a trained model says, and the model itself."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api.conditional import answer
from api.content import MEDIA_TYPE, File, send
from api.deps import IdempotencyKey, PartsDep, PredictBody, Reader
from api.documents import binary, conditionals, posts, reads
from api.idempotency import once
from api.parts import Parts
from api.questions import Question, answered
from api.routes.jobs import JobId
from api.schemas.predictions import Predict, Prediction
from core.db.session import reading
from core.errors import TooLarge
from core.services import checkpoints
from core.services.principal import Principal

router = APIRouter(tags=["predictions"])
ExportFormat = Annotated[Literal["safetensors", "onnx", "torch_export"], Query(alias="format")]
Which = Annotated[str, Query(max_length=100, description="`best`, `last` or an id")]
EXTENSIONS = {"onnx": "onnx", "torch_export": "pt2"}
# the first ONNX export of a worker imports the exporter, which takes seconds
EXPORT_WAIT_S = 45.0
ASK = reads({"$ref": "#/components/schemas/Predict"}, {"rows": [{"x1": 0.1, "x2": 0.2}]})


def _question(job_id: str, asked: Predict, most: int) -> Question:
    if asked.count() > most:
        raise TooLarge(f"received {asked.count()} rows, at most {most} are allowed")
    request = asked.model_dump(include={"rows", "inputs", "output", "n", "seed"}, exclude_none=True)
    return Question(job_id, "predict", asked.checkpoint, request)


@router.post("/v1/jobs/{job_id}/predict", response_model=Prediction, openapi_extra=ASK, responses=posts(404))
async def predict(
    *, request: Request, job_id: JobId, who: Reader, body: PredictBody, parts: PartsDep, key: IdempotencyKey = None
) -> Response:
    """What the model says of some rows; the preprocessing that was fitted in training is applied."""
    del key  # declared for the document; `once` reads and checks it
    asked = await run_in_threadpool(body.parse, Predict)
    question = _question(job_id, asked, parts.limits.predict_rows)
    async with once(request, parts, who, body.raw) as right:
        view = await answered(request, parts, who, question, parts.predict_wait_s)
        said = Prediction.model_validate({"checkpoint": view.checkpoint_id, **(view.answer or {})})
        return await run_in_threadpool(right.answer_alone, parts.sessions, answer(said))


def _best(parts: Parts, who: Principal, job_id: str, which: str) -> File:
    """A checkpoint's content is the safetensors export: spec and preprocessing stand in its metadata."""
    with reading(parts.sessions) as session:
        view = checkpoints.choose(session, who, job_id, which)
    return File(view.sha256, view.bytes, f"{job_id}.safetensors")


@router.get(
    "/v1/jobs/{job_id}/export",
    response_class=Response,
    responses={
        200: binary(MEDIA_TYPE, "the model"),
        206: binary(MEDIA_TYPE, "the part that `Range` asked for"),
        **conditionals(404, 409, 416),
    },
)
async def export_model(
    *,
    request: Request,
    job_id: JobId,
    who: Reader,
    parts: PartsDep,
    file_format: ExportFormat = "safetensors",
    checkpoint: Which = "best",
) -> Response:
    """The model as a file, with its preprocessing and spec inside."""
    if file_format == "safetensors":
        file = await run_in_threadpool(_best, parts, who, job_id, checkpoint)
    else:
        question = Question(job_id, "export", checkpoint, {"format": file_format})
        view = await answered(request, parts, who, question, EXPORT_WAIT_S, keep=True)
        file = File(view.sha256 or "", view.bytes or 0, f"{job_id}.{EXTENSIONS[file_format]}")
    return await run_in_threadpool(send, request, parts.store, file)
