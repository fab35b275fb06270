"""The OpenAPI document: every status that a call can answer, the job spec's schema, and the key."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.errors import MEDIA_TYPE
from api.schemas.common import Problem
from api.schemas.jobs import Continue
from api.schemas.keys import NewKey
from api.schemas.predictions import Predict
from core.spec.catalog import analysis_schema, experiment_schema, job_schema

VERSION = "0.1.0"
SPEC_REF = {"$ref": "#/components/schemas/JobSpec"}
EXAMPLE_SPEC: dict[str, Any] = {
    "name": "digits",
    "data": {"dataset": "digits"},
    "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]},
    "optimizer": {"type": "adam", "lr": 0.001},
    "training": {"epochs": 20, "batch_size": 32},
}
REASONS = {
    403: "the key lacks the scope, or the request came through a foreign host",
    404: "unknown, or another project's",
    413: "more than the limit",
    415: "a type that is not read here",
    429: "too many at once; see `Retry-After`",
    422: "not valid: `errors` lists every fault",
    503: "a part of the service is down or busy; see `Retry-After`",
}
Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """The errors of a call: those named, and those that any call with a key may give."""
    return {
        status: {
            "description": REASONS.get(status, HTTPStatus(status).phrase),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({401, 403, 422, 503, *statuses})
    }


def posts(*statuses: int) -> Responses:
    """The errors of a POST with a JSON body, its idempotency key's among them."""
    return problems(409, 413, 415, *statuses)


def conditionals(*statuses: int) -> Responses:
    """The answers of a conditional GET apart from 200."""
    return {304: {"description": "unchanged since the ETag in If-None-Match"}, **problems(*statuses)}


def reads(schema: dict[str, Any], example: Any = None, *, required: bool = True) -> dict[str, Any]:
    """`openapi_extra` of a call that reads its JSON body itself."""
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"requestBody": {"required": required, "content": {"application/json": content}}}


def binary(media_type: str, description: str) -> dict[str, Any]:
    """A response whose content is a file."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {"description": description, "content": content}


def make_document(app: FastAPI) -> dict[str, Any]:
    """The document of an application, with the schemas that no route's signature names."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _add(schemas, "JobSpec", job_schema())
    # an analysis and a layer may have one name: what belongs to requests for analyses says so in its own
    _add(schemas, "AnalysisRequest", analysis_schema(), prefix="Analysis")
    _add(schemas, "OptimizersRequest", experiment_schema("optimizers"))
    _add(schemas, "InitRequest", experiment_schema("init"))
    _add(schemas, "ActivationsRequest", experiment_schema("activations"))
    # bodies that routes read themselves, and the error
    for model in (Problem, Continue, NewKey, Predict):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _add(schemas: dict[str, Any], name: str, schema: dict[str, Any], *, prefix: str = "") -> None:
    """Puts a schema and what it refers to among the document's components."""
    for part, definition in schema.pop("$defs", {}).items():
        schemas.setdefault(f"{prefix}{part}", _rebased(definition, prefix))
    schemas[name] = _rebased(schema, prefix)


def _rebased(schema: Any, prefix: str) -> Any:
    """The schema with its references pointing into the document's components."""
    if isinstance(schema, dict):
        return {
            key: value.replace("#/$defs/", f"#/components/schemas/{prefix}")
            if isinstance(value, str) and value.startswith("#/$defs/")
            else _rebased(value, prefix)
            for key, value in schema.items()
            if key != "$schema"
        }
    return [_rebased(item, prefix) for item in schema] if isinstance(schema, list) else schema
