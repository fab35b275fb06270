"""Checkpoints: what stands, its content, and removing it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api.conditional import conditional_model
from api.content import MEDIA_TYPE, File, send
from api.deps import PartsDep, Reader, Transaction, Writer
from api.documents import Responses, binary, conditionals, problems
from api.routes.jobs import JobId
from api.schemas.checkpoints import Checkpoint, CheckpointList
from core.db.session import reading
from core.services import checkpoints

router = APIRouter(tags=["checkpoints"])
CheckpointId = Annotated[str, Path(min_length=1, max_length=100)]
CONTENT: Responses = {
    200: binary(MEDIA_TYPE, "one safetensors file: a tensor for each parameter and buffer, in PyTorch's shapes"),
    206: binary(MEDIA_TYPE, "the part that `Range` asked for"),
}


@router.get("/v1/jobs/{job_id}/checkpoints", response_model=CheckpointList, responses=conditionals(404))
def list_checkpoints(request: Request, job_id: JobId, who: Reader, parts: PartsDep) -> Response:
    """The job's checkpoints that are kept, newest step first."""
    with reading(parts.sessions) as session:
        views = checkpoints.list_checkpoints(session, who, job_id)
    return conditional_model(request, CheckpointList(data=[Checkpoint.of(view) for view in views]))


@router.get("/v1/checkpoints/{checkpoint_id}", response_model=Checkpoint, responses=conditionals(404))
def read_checkpoint(request: Request, checkpoint_id: CheckpointId, who: Reader, parts: PartsDep) -> Response:
    """One checkpoint."""
    with reading(parts.sessions) as session:
        view = checkpoints.get(session, who, checkpoint_id)
    return conditional_model(request, Checkpoint.of(view))


@router.get(
    "/v1/checkpoints/{checkpoint_id}/content",
    response_class=Response,
    responses={**conditionals(404, 416), **CONTENT},
)
def download_checkpoint(request: Request, checkpoint_id: CheckpointId, who: Reader, parts: PartsDep) -> Response:
    """The weights as one safetensors file; one `Range` is served."""
    with reading(parts.sessions) as session:
        view = checkpoints.get(session, who, checkpoint_id)
    return send(request, parts.store, File(view.sha256, view.bytes, f"{view.id}.safetensors"))


@router.delete(
    "/v1/checkpoints/{checkpoint_id}", status_code=204, response_class=Response, responses=problems(404, 409)
)
def delete_checkpoint(checkpoint_id: CheckpointId, who: Writer, parts: PartsDep, session: Transaction) -> None:
    """Removes a checkpoint of a finished job."""
    checkpoints.delete(session, parts.store, who, checkpoint_id)
