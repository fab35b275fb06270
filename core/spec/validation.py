"""A document against the models: the spec, or every fault in it with what was received and what was expected.

Where fields are faulty they are set aside and the rest is read all the same, so that a wrong optimizer hides no wrong
column: `read_spec` answers with faults *and* with the spec of what is left.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core.errors import FieldError
from core.spec.findings import Findings, Path, pointer, show
from core.spec.job import JobSpec
from core.spec.locate import Location, locate
from core.spec.sentences import KINDS, at_fault, expectation, field_error, sentence

PLACEHOLDER = "?"
_MINIMUM: dict[str, Any] = {"data": {"dataset": PLACEHOLDER}, "network": {"layers": []}}


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
            details = [detail for detail in error.errors(include_url=False) if not _follows_from_entries(detail)]
            found = [(detail, locate(JobSpec, detail["loc"], rest)) for detail in details]
        if first:
            for each in translated(found, _SECTION_FIELDS):
                findings.add_error(each)
        else:
            _add_new(found, findings)
        first = False
        _set_aside(rest, [_removable(detail, location) for detail, location in found], findings)


def translated(
    found: list[tuple[ErrorDetails, Location]], homes: Mapping[Path, frozenset[str]] = MappingProxyType({})
) -> list[FieldError]:
    """One error a field: the members of a union that a value missed make one sentence."""
    errors: list[FieldError] = []
    found = [(detail, location) for detail, location in found if not _follows_from_entries(detail)]
    unions: dict[Path, list[tuple[ErrorDetails, Location]]] = {}
    for detail, location in found:
        if location.union_at is None:
            errors.append(field_error(detail, location, homes))
        else:
            unions.setdefault(location.path[: location.union_at], []).append((detail, location))
    for path, members in unions.items():
        inner = [member for member in members if len(member[1].path) > len(path)]
        if inner:
            errors.extend(field_error(*member, homes) for member in inner)
        else:
            expected = " or ".join(dict.fromkeys(expectation(detail) for detail, _ in members))
            received = show(members[0][0]["input"])
            errors.append(FieldError(pointer(path), "wrong_type", sentence(received, expected, members[0][1])))
    return errors


def _follows_from_entries(detail: ErrorDetails) -> bool:
    """Whether a list is called too short only because entries of it, which are told by themselves, were not read."""
    entries, least = detail["input"], detail.get("ctx", {}).get("min_length", 0)
    return detail["type"] == "too_short" and isinstance(entries, list) and len(entries) >= least


def _add_new(found: list[tuple[ErrorDetails, Location]], findings: Findings) -> None:
    """Findings between fields, which pydantic looks at only once each field is sound."""
    for detail, location in found:
        if detail["type"] not in KINDS and "field" in detail.get("ctx", {}):
            error = field_error(detail, location, _SECTION_FIELDS)
            findings.fault(error.pointer, error.code, error.detail)


def _removable(detail: ErrorDetails, location: Location) -> Path:
    """What to take out: the faulty field; where one is missing, what should hold it."""
    return location.path[:-1] if detail["type"] == "missing" else at_fault(detail, location)


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
