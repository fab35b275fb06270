"""What may be asked for: the spec's schema, the catalog of its parts, the zoo of ready specs."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from api.conditional import conditional, conditional_model, to_json
from api.deps import Reader
from api.documents import binary, conditionals
from api.schemas.common import Document
from core.spec import catalog, zoo

router = APIRouter(tags=["reference"])


@cache
def _schema() -> bytes:
    return to_json(Document(catalog.job_schema()))


@cache
def _catalog() -> bytes:
    return to_json(Document(catalog.catalog()))


@cache
def _zoo() -> bytes:
    return to_json(Document({"data": [_linked(entry) for entry in zoo.list_specs()], "next_cursor": None}))


@router.get("/v1/schema", response_model=Document, responses=conditionals())
def read_schema(request: Request, who: Reader) -> Response:
    """The JSON Schema of a job spec."""
    del who
    return conditional(request, _schema())


@router.get("/v1/catalog", response_model=Document, responses=conditionals())
def read_catalog(request: Request, who: Reader) -> Response:
    """Every layer, activation, init, loss, metric, optimizer, schedule, family and analysis with its parameters."""
    del who
    return conditional(request, _catalog())


@router.get("/v1/zoo", response_model=Document, responses=conditionals())
def list_zoo(request: Request, who: Reader) -> Response:
    """Ready job specs, each of which trains as it is."""
    del who
    return conditional(request, _zoo())


@router.get(
    "/v1/zoo/{name}.png",
    response_class=Response,
    responses={**conditionals(404), 200: binary("image/png", "the picture")},
)
def zoo_picture(request: Request, name: Annotated[str, Path(max_length=100)], who: Reader) -> Response:
    """What the service drew when it trained this spec."""
    del who
    zoo.get_spec(name)
    return conditional(request, zoo.picture_path(name).read_bytes(), media_type="image/png")


@router.get("/v1/zoo/{name}", response_model=Document, responses=conditionals(404))
def read_zoo(request: Request, name: Annotated[str, Path(max_length=100)], who: Reader) -> Response:
    """One ready job spec with what it teaches and the metric to expect."""
    del who
    return conditional_model(request, Document(_linked(zoo.get_spec(name))))


def _linked(entry: dict[str, Any]) -> dict[str, Any]:
    path = f"/v1/zoo/{entry['name']}"
    return {**entry, "links": {"self": path, "png": f"{path}.png"}}
