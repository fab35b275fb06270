"""What may be asked for: the spec's schema, the catalog of its parts, the zoo of ready specs."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api.conditional import conditional, conditional_model, to_json
from api.deps import Reader
from api.documents import conditionals
from api.schemas.common import Document
from core.spec import catalog, zoo

router = APIRouter(tags=["reference"])


@cache
def _schema() -> bytes:
    return to_json(Document(catalog.job_schema()))


@cache
def _catalog() -> bytes:
    return to_json(Document(catalog.catalog()))


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
    return conditional_model(request, Document({"data": zoo.list_specs(), "next_cursor": None}))


@router.get("/v1/zoo/{name}", response_model=Document, responses=conditionals(404))
def read_zoo(request: Request, name: Annotated[str, Path(max_length=100)], who: Reader) -> Response:
    """One ready job spec with what it teaches and the metric to expect."""
    del who
    return conditional_model(request, Document(zoo.get_spec(name)))
