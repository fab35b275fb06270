"""What a user may ask for, told from the models themselves: nothing here is written twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from core.spec.activations import ActivationLayer
from core.spec.analyses import ANALYSES, AnalysisRequest
from core.spec.inits import Init
from core.spec.job import JobSpec
from core.spec.lab import ActivationLab, InitLab, NetworkRace, SurfaceRace
from core.spec.layers import LAYERS
from core.spec.losses import Loss
from core.spec.metrics import METRICS
from core.spec.network import FAMILIES
from core.spec.optimizers import Optimizer
from core.spec.schedules import Schedule
from core.spec.surfaces import SURFACES

_LIMIT = {"exclusiveMinimum": "above", "minimum": "from", "maximum": "up to", "exclusiveMaximum": "below"}


def catalog() -> dict[str, Any]:
    """Layers, activations, inits, losses, metrics, optimizers, schedules, families and analyses, with parameters.

    Surfaces are what optimizers of the lab go down.
    """
    activations = {str(model.model_fields["type"].default): model for model in get_args(ActivationLayer)}
    return {
        "layers": _entries("type", {name: model for name, model in LAYERS.items() if name not in activations}),
        "activations": _entries("type", activations),
        "inits": _entries("type", _members(Init)),
        "losses": _entries("type", _members(Loss)),
        "metrics": [
            {
                "type": name,
                "summary": info.summary,
                "tasks": sorted(info.tasks),
                "higher_is_better": info.higher_is_better,
                "binary_only": info.binary_only,
                "parameters": [],
            }
            for name, info in METRICS.items()
        ],
        "optimizers": _entries("type", _members(Optimizer)),
        "schedules": _entries("type", _members(Schedule)),
        "families": _entries("family", FAMILIES),
        "analyses": _entries("type", ANALYSES),
        "surfaces": [
            {"type": name, "summary": surface.formula, "parameters": []} for name, surface in SURFACES.items()
        ],
    }


def job_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a job spec."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **JobSpec.model_json_schema()}


def analysis_schema() -> dict[str, Any]:
    """The JSON Schema of a request for an analysis."""
    return TypeAdapter(AnalysisRequest).json_schema()


def experiment_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of a request to the lab, its short forms among it: a name for what is an object of that type."""
    if kind == "init":
        schema = InitLab.model_json_schema()
        _allow_names(schema["$defs"]["Combination"]["properties"], "activation", "init")
        return schema
    if kind == "activations":
        schema = ActivationLab.model_json_schema()
        entries = schema["properties"]["activations"]
        entries["items"] = {"anyOf": [{"type": "string"}, entries["items"]]}
        return schema
    schema = TypeAdapter(SurfaceRace | NetworkRace).json_schema()
    definitions = schema["$defs"]
    _allow_names(definitions["Entrant"]["properties"], "optimizer", "schedule")
    bare = {
        "type": "object",
        "required": ["type"],
        "description": "an optimizer with its fields, schedule and name beside them",
        "properties": {"type": {"type": "string"}},
    }
    for race in (SurfaceRace, NetworkRace):
        entries = definitions[race.__name__]["properties"]["optimizers"]
        entries["items"] = {"anyOf": [entries["items"], bare, _NAME]}
    return schema


_NAME = {"type": "string", "description": "the type alone, all its fields by default"}


def _allow_names(properties: dict[str, Any], *fields: str) -> None:
    for field in fields:
        properties[field] = {"anyOf": [properties[field], _NAME]}


def _members(union: Any) -> dict[str, type[BaseModel]]:
    return {str(model.model_fields["type"].default): model for model in get_args(get_args(union)[0])}


def _entries(key: str, models: Mapping[str, type[BaseModel]]) -> list[dict[str, Any]]:
    return [
        {
            key: name,
            "summary": " ".join((model.__doc__ or "").split()),
            "parameters": list(_parameters(model, key)),
        }
        for name, model in models.items()
    ]


def _parameters(model: type[BaseModel], key: str) -> Iterable[dict[str, Any]]:
    synonyms: Mapping[str, str] = getattr(model, "synonyms", {})
    for name, field in model.model_fields.items():
        if name == key:
            continue
        schema = _schema_of(field)
        required = field.is_required()
        yield {
            "name": name,
            "type": _type_of(schema),
            "required": required,
            "default": None if required else _plain(field.get_default(call_default_factory=True, validated_data={})),
            "description": field.description or "",
            "range": _range_of(schema),
            "synonyms": [theirs for theirs, ours in synonyms.items() if ours == name],
        }


def _schema_of(field: FieldInfo) -> dict[str, Any]:
    """The schema of one field; of an optional one that of its value."""
    schema = TypeAdapter(field.rebuild_annotation()).json_schema()
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    return {**schema, **options[0]} if len(options) == 1 else schema


def _type_of(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "string"
    if "oneOf" in schema:
        return "object"
    if "anyOf" in schema and "type" not in schema:
        return " or ".join(dict.fromkeys(_type_of(option) for option in schema["anyOf"]))
    if schema.get("type") == "array":
        items: Mapping[str, Any] = schema.get("items") or next(iter(schema.get("prefixItems", ())), {})
        return f"list of {_type_of(items)}"
    if "const" in schema:
        return "string"
    return str(schema.get("type", "object"))


def _range_of(schema: Mapping[str, Any]) -> str | None:
    """The allowed values in words, None when the type says it all."""
    if schema.get("type") == "array":
        items: Mapping[str, Any] = schema.get("items") or next(iter(schema.get("prefixItems", ())), {})
        each = _range_of(items)
        return f"each {each}" if each else None
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    limits = [f"{_LIMIT[key]} {schema[key]:g}" for key in _LIMIT if key in schema]
    return ", ".join(limits) or None


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return list(value) if isinstance(value, tuple) else value
