"""A document against the models: the spec, or every fault in it with what was received and what was expected.

Where fields are faulty they are set aside and the rest is read all the same, so that a wrong optimizer hides no wrong
column: `read_spec` answers with faults *and* with the spec of what is left.
"""

from __future__ import annotations

import copy
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core.errors import FieldError
from core.spec.findings import Findings, Path, nearest, one_of, pointer, show
from core.spec.job import JobSpec
from core.spec.locate import Location, locate
from core.spec.vocabulary import FOREIGN_NAMES

PLACEHOLDER = "?"
_MINIMUM: dict[str, Any] = {"data": {"dataset": PLACEHOLDER}, "network": {"layers": []}}
_EXPECTED = {
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
}


def read_spec(body: object, findings: Findings) -> JobSpec:
    """The spec of what is sound in `body`; what is not is recorded, set aside and marked as tainted."""
    if not isinstance(body, dict):
        findings.fault(
            "", "not_an_object", f"received {show(body)}, expected an object; do send the job spec as a JSON object"
        )
        body = _MINIMUM
        for section in _MINIMUM:
            findings.taint("/" + section)
    rest: dict[str, Any] = copy.deepcopy(body)
    first = True
    while True:
        try:
            return JobSpec.model_validate(rest)
        except ValidationError as error:
            found = [(detail, locate(JobSpec, detail["loc"])) for detail in error.errors(include_url=False)]
        if first:
            for each in _translate(found):
                findings.add_error(each)
        else:
            _add_new(found, findings)
        first = False
        _set_aside(rest, [_removable(detail, location) for detail, location in found], findings)


def _translate(found: list[tuple[ErrorDetails, Location]]) -> list[FieldError]:
    """One error a field: the members of a union that a value missed make one sentence."""
    errors: list[FieldError] = []
    unions: dict[Path, list[tuple[ErrorDetails, Location]]] = {}
    for detail, location in found:
        if location.union_at is None:
            errors.append(_field_error(detail, location))
        else:
            unions.setdefault(location.path[: location.union_at], []).append((detail, location))
    for path, members in unions.items():
        inner = [member for member in members if len(member[1].path) > len(path)]
        if inner:
            errors.extend(_field_error(*member) for member in inner)
        else:
            expected = " or ".join(dict.fromkeys(_expected(detail) for detail, _ in members))
            received = show(members[0][0]["input"])
            errors.append(FieldError(pointer(path), "wrong_type", _sentence(received, expected, members[0][1])))
    return errors


def _add_new(found: list[tuple[ErrorDetails, Location]], findings: Findings) -> None:
    """Findings between fields, which pydantic looks at only once each field is sound."""
    for detail, location in found:
        if detail["type"] not in _EXPECTED and "field" in detail.get("ctx", {}):
            error = _field_error(detail, location)
            findings.fault(error.pointer, error.code, error.detail)


def _field_error(detail: ErrorDetails, location: Location) -> FieldError:  # noqa: PLR0911 - one return a kind of fault
    kind, context = detail["type"], detail.get("ctx", {})
    where = pointer(_at(detail, location))
    match kind:
        case "extra_forbidden":
            return FieldError(where, "unknown_field", _unknown_field(location))
        case "missing":
            return FieldError(where, "missing", _sentence("nothing", "this field", location, do="add it"))
        case "union_tag_not_found":
            choice = str(context.get("discriminator", "'type'")).strip("'")
            return FieldError(f"{where}/{choice}", "missing", f"received no {choice}, expected one; do add it")
        case "union_tag_invalid":
            return _unknown_tag(where, detail)
        case "literal_error":
            known = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
            return FieldError(where, "unknown_value", _unknown(detail["input"], known))
    if "field" in context:
        return FieldError(where, kind, detail["msg"])
    code = "wrong_type" if kind in _EXPECTED else "out_of_range"
    return FieldError(where, code, _sentence(show(detail["input"]), _expected(detail), location))


def _sentence(received: str, expected: str, location: Location, *, do: str = "change it") -> str:
    """`received …, expected …; do …`, with what the field means."""
    field = location.owner.model_fields.get(str(location.path[-1])) if location.owner and location.path else None
    meaning = f" ({field.description})" if field and field.description else ""
    return f"received {received}, expected {expected}{meaning}; do {do}"


def _expected(detail: ErrorDetails) -> str:  # noqa: PLR0911 - one line a kind of constraint
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
            return "<split>.<metric>, such as validation.loss"
        case "literal_error":
            return str(context["expected"])
    return _EXPECTED.get(kind, detail["msg"])


def _unknown_field(location: Location) -> str:
    name = str(location.path[-1])
    known = list(location.owner.model_fields) if location.owner else []
    near = nearest(name, known)
    elsewhere = [
        pointer((*path, name))
        for path, fields in _SECTION_FIELDS.items()
        if name in fields and path != location.path[:-1]
    ]
    if name == "layers" and "family" in known:
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


def _at(detail: ErrorDetails, location: Location) -> Path:
    """The path at fault; a fault between fields names the one to change."""
    field = detail.get("ctx", {}).get("field")
    return (*location.path, str(field)) if field else location.path


def _removable(detail: ErrorDetails, location: Location) -> Path:
    """What to take out: the faulty field; where one is missing, what should hold it."""
    return location.path[:-1] if detail["type"] == "missing" else _at(detail, location)


def _set_aside(rest: dict[str, Any], paths: list[Path], findings: Findings) -> None:
    """Take out what is faulty; where a fault is of a field's absence or default, what holds that field."""
    for path in paths:
        findings.taint(pointer(path))
    removed = sum(_take_out(rest, path) for path in paths)
    if not removed:
        for path in paths:
            findings.taint(pointer(path[:-1]))
            _take_out(rest, path[:-1])
    for section, least in _MINIMUM.items():
        if section not in rest:
            rest[section] = copy.deepcopy(least)
            findings.taint("/" + section)


def _take_out(rest: dict[str, Any], path: Path) -> bool:
    """Remove what is at `path`, of a list all that follows it too, for it has lost its place; whether it was there."""
    holder: Any = rest
    for part in path[:-1]:
        holder = holder[part] if _holds(holder, part) else None
    if not path or not _holds(holder, path[-1]):
        return False
    if isinstance(holder, list):
        del holder[int(path[-1]) :]
    else:
        del holder[path[-1]]
    return True


def _holds(holder: Any, part: str | int) -> bool:
    if isinstance(holder, dict):
        return part in holder
    return isinstance(holder, list) and isinstance(part, int) and part < len(holder)


def _fields_of_sections() -> dict[Path, frozenset[str]]:
    """The fields of the parts of a spec that are models themselves: where a misplaced one may belong."""
    sections: dict[Path, frozenset[str]] = {}
    for name, field in JobSpec.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections[(name,)] = frozenset(field.annotation.model_fields)
    sections[("optimizer",)] = frozenset({"lr", "momentum", "weight_decay", "betas"})
    sections[("schedule",)] = frozenset({"warmup_steps"})
    sections[("data", "split")] = frozenset({"validation", "test", "stratify"})
    sections[("data", "preprocess")] = frozenset({"scale", "impute"})
    return sections


_SECTION_FIELDS = _fields_of_sections()
