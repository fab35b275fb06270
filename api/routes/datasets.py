"""Data sets: upload, list, look, delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api import uploads
from api.conditional import answer, conditional_model
from api.deps import Cursor, IdempotencyKey, Limit, PartsDep, Reader, Transaction, Writer
from api.documents import conditionals, problems
from api.idempotency import Once, once
from api.parts import Parts
from api.schemas.common import Document
from api.schemas.datasets import Dataset, DatasetPage, Preview
from core.data.ingest import FORMATS, Ingested
from core.data.selection import CHANNELS, Selection, read_selection
from core.db.session import reading, transaction
from core.services import datasets
from core.services.principal import Principal

router = APIRouter(tags=["data sets"])
Ref = Annotated[str, Path(min_length=1, max_length=200, description="id or name")]
Name = Annotated[str | None, Query(min_length=1, max_length=200, description="a name to use in specs")]
Format = Annotated[str, Query(alias="format", max_length=50, json_schema_extra={"enum": list(FORMATS)})]
Rows = Annotated[int, Query(ge=1, le=200)]
Keys = Annotated[list[str], Query(max_length=100)]
UPLOAD = {
    "requestBody": {
        "required": True,
        "description": "the file itself, gzip allowed; the Content-Type is ignored",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
# the reading of a large file may take its whole limit before the key is answered
STALE_AFTER_S = 60.0


def selected(
    *,
    file_format: Format,
    tree: Annotated[
        Keys | None, Query(description="root: trees to read; repeated or with commas, below each other")
    ] = None,
    label: Annotated[Keys | None, Query(description="root, hdf5: the class of each tree, table or x, in order")] = None,
    x: Annotated[Keys | None, Query(description="hdf5: keys of the inputs, `x` unless given")] = None,
    y: Annotated[Keys | None, Query(description="hdf5: keys of the targets")] = None,
    weight: Annotated[Keys | None, Query(description="hdf5: keys of event weights")] = None,
    split: Annotated[Keys | None, Query(description="hdf5: keys of train, validation or test")] = None,
    table: Annotated[Keys | None, Query(description="hdf5: compound data sets, or groups of columns")] = None,
    channels: Annotated[
        str | None,
        Query(description="hdf5, npz, npy: where images have that axis", json_schema_extra={"enum": list(CHANNELS)}),
    ] = None,
) -> Selection:
    """Which parts of the file are meant; checked before a byte of the body is read."""
    given = {"tree": tree, "label": label, "x": x, "y": y, "weight": weight, "split": split, "table": table}
    single = None if channels is None else [channels]
    return read_selection(uploads.check_format(file_format), {**given, "channels": single})


@router.post(
    "/v1/datasets",
    status_code=201,
    response_model=Dataset,
    openapi_extra=UPLOAD,
    responses={200: {"model": Dataset, "description": "there already"}, **problems(409, 413, 415)},
)
async def upload_dataset(
    *,
    request: Request,
    who: Writer,
    parts: PartsDep,
    file_format: Format,
    selection: Annotated[Selection, Depends(selected)],
    name: Name = None,
    key: IdempotencyKey = None,
) -> Response:
    """Stores the body as a data set. The same content twice is stored once and answers 200."""
    del key  # declared for the document; `once` reads and checks it
    stale_s = parts.limits.parse_seconds + STALE_AFTER_S
    async with (
        uploads.received(request, parts) as upload,
        once(request, parts, who, upload.sha256.encode(), stale_s=stale_s) as right,
    ):
        ingested = await uploads.read_in(parts, upload, file_format, selection)
        return await run_in_threadpool(_store, parts, who, right, name, ingested)


def _store(parts: Parts, who: Principal, right: Once, name: str | None, ingested: Ingested) -> Response:
    with transaction(parts.sessions) as session:
        view, made = datasets.create(session, parts.store, who, name=name, ingested=ingested)
        headers = {"Location": f"/v1/datasets/{view.id}"}
        return right.answer(session, answer(Dataset.model_validate(view), status=201 if made else 200, headers=headers))


@router.get("/v1/datasets", response_model=DatasetPage, responses=conditionals())
def list_datasets(request: Request, who: Reader, parts: PartsDep, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """The project's data sets, newest first, and the built-in ones."""
    with reading(parts.sessions) as session:
        page = DatasetPage.of(datasets.list_datasets(session, who, limit=limit, cursor=cursor))
    return conditional_model(request, page)


@router.get("/v1/datasets/{ref}", response_model=Dataset, responses=conditionals(404))
def read_dataset(request: Request, ref: Ref, who: Reader, parts: PartsDep) -> Response:
    """One data set."""
    with reading(parts.sessions) as session:
        view = Dataset.model_validate(datasets.get(session, who, ref))
    return conditional_model(request, view)


@router.get("/v1/datasets/{ref}/preview", response_model=Preview, responses=conditionals(404))
def preview_dataset(request: Request, ref: Ref, who: Reader, parts: PartsDep, rows: Rows = 20) -> Response:
    """The first rows."""
    with reading(parts.sessions) as session:
        first = Preview(data=datasets.preview(session, who, ref, rows))
    return conditional_model(request, first)


@router.get("/v1/datasets/{ref}/profile", response_model=dict[str, Any], responses=conditionals(404))
def profile_dataset(request: Request, ref: Ref, who: Reader, parts: PartsDep) -> Response:
    """Statistics and a histogram of every column."""
    with reading(parts.sessions) as session:
        profile = Document(datasets.profile(session, who, ref))
    return conditional_model(request, profile)


@router.delete("/v1/datasets/{ref}", status_code=204, response_class=Response, responses=problems(404, 409))
def delete_dataset(ref: Ref, who: Writer, parts: PartsDep, session: Transaction) -> None:
    """Removes a data set that no unfinished job uses."""
    datasets.delete(session, parts.store, who, ref)
