"""One of pydantic's errors as a sentence: what was received, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from pydantic_core import ErrorDetails

from core.errors import FieldError
from core.spec.base import METRIC_PATTERN
from core.spec.findings import Path, nearest, one_of, pointer, show
from core.spec.locate import Location
from core.spec.vocabulary import FOREIGN_NAMES, INFERRED_FIELDS

KINDS = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "int_parsing_size": "a smaller integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "string_unicode": "a text of Unicode characters",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "finite_number": "a finite number",
    "timezone_aware": "a time with its zone, such as 2030-01-01T00:00:00Z",
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"),
        "a time as RFC 3339 writes it, such as 2030-01-01T00:00:00Z",
    ),
}

_PATTERNS = {METRIC_PATTERN: "<split>.<metric>, such as validation.loss"}


def field_error(  # noqa: PLR0911 - one return a kind of fault
    detail: ErrorDetails, location: Location, homes: Mapping[Path, frozenset[str]] = MappingProxyType({})
) -> FieldError:
    """The fault at its place; an unknown field that one of `homes` has is told where it belongs."""
    kind, context = detail["type"], detail.get("ctx", {})
    where = pointer(at_fault(detail, location))
    match kind:
        case "extra_forbidden":
            return FieldError(where, "unknown_field", _unknown_field(location, homes))
        case "missing":
            return FieldError(where, "missing", sentence("nothing", "this field", location, do="add it"))
        case "union_tag_not_found":
            choice = str(context.get("discriminator", "'type'")).strip("'")
            return FieldError(f"{where}/{choice}", "missing", f"received no {choice}, expected one; do add it")
        case "union_tag_invalid":
            return _unknown_tag(where, detail)
        case "literal_error" | "enum":
            known = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
            return FieldError(where, "unknown_value", _unknown(detail["input"], known))
    if "field" in context:
        return FieldError(where, kind, detail["msg"])
    code = "wrong_type" if kind in KINDS else "out_of_range"
    return FieldError(where, code, sentence(show(detail["input"]), expectation(detail), location))


def sentence(received: str, expected: str, location: Location, *, do: str = "change it") -> str:
    """`received …, expected …; do …`, with what the field means."""
    field = location.owner.model_fields.get(str(location.path[-1])) if location.owner and location.path else None
    meaning = f" ({field.description})" if field and field.description else ""
    return f"received {received}, expected {expected}{meaning}; do {do}"


def expectation(detail: ErrorDetails) -> str:  # noqa: PLR0911 - one line a kind of constraint
    """What a sound value is."""
    kind, context = detail["type"], detail.get("ctx", {})
    match kind:
        case "greater_than":
            return f"a number above {context['gt']:g}"
        case "greater_than_equal":
            return f"a number from {context['ge']:g}"
        case "less_than":
            return f"a number below {context['lt']:g}"
        case "less_than_equal":
            return f"a number up to {context['le']:g}"
        case "too_short":
            return f"at least {context['min_length']} entries"
        case "too_long":
            return f"at most {context['max_length']} entries"
        case "string_too_short":
            return f"at least {context['min_length']} characters"
        case "string_too_long":
            return f"at most {context['max_length']} characters"
        case "string_pattern_mismatch":
            pattern = str(context["pattern"])
            return _PATTERNS.get(pattern, f"a text that matches {pattern}")
        case "literal_error":
            return str(context["expected"])
    return KINDS.get(kind, detail["msg"])


def _unknown_field(location: Location, homes: Mapping[Path, frozenset[str]]) -> str:
    name = str(location.path[-1])
    known = list(location.owner.model_fields) if location.owner else []
    near = nearest(name, known)
    elsewhere = [
        pointer((*path, name)) for path, fields in homes.items() if name in fields and path != location.path[:-1]
    ]
    if name in INFERRED_FIELDS and location.path[-3:-2] == ("layers",):
        advice = "remove it: sizes of inputs follow from what reaches the layer"
    elif name == "layers" and "family" in known:
        advice = "give either a family or layers"
    elif near is None and elsewhere:
        advice = f"move it to {elsewhere[0]}"
    else:
        advice = f"write {near} (did you mean it?)" if near else "remove it"
    return f"received the unknown field {show(name)}, expected {one_of(known)}; do {advice}"


def _unknown_tag(where: str, detail: ErrorDetails) -> FieldError:
    context = detail["ctx"]
    choice = "family" if "network_tag" in str(context["discriminator"]) else str(context["discriminator"]).strip("'")
    known = [word.strip("'") for word in str(context["expected_tags"]).split(", ")]
    known = [word for word in known if (choice, word) != ("family", "layers")]
    value = cast("dict[str, Any]", detail["input"]).get(choice) if isinstance(detail["input"], dict) else context["tag"]
    return FieldError(f"{where}/{choice}", f"unknown_{choice}", _unknown(value, known))


def _unknown(value: object, known: list[str]) -> str:
    foreign = FOREIGN_NAMES.get(value.lower().replace("-", "_")) if isinstance(value, str) else None
    near = nearest(value, known) if isinstance(value, str) else None
    if foreign and (foreign in known or " " in foreign):
        advice = foreign if " " in foreign else f"write {foreign}"
    else:
        advice = f"write {near} (did you mean it?)" if near else "choose one of them"
    return f"received {show(value)}, expected {one_of(known)}; do {advice}"


def at_fault(detail: ErrorDetails, location: Location) -> Path:
    """The path at fault; a fault between fields names the one to change."""
    field = detail.get("ctx", {}).get("field")
    return (*location.path, str(field)) if field else location.path
