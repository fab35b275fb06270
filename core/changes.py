"""What may change while a job lives: a closed set of fields, and changes of them in the order they were asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

LIVE_FIELDS: dict[str, tuple[str, str]] = {
    "lr": ("optimizer", "lr"),
    "epochs": ("training", "epochs"),
    "early_stopping": ("training", "early_stopping"),
}
"""Where each stands in a spec."""


@dataclass(frozen=True, slots=True)
class Change:
    """New values of some live fields, in force from the optimizer step with index `step` on (0 the first).

    None as `step`: before the next step. `fields` has names of LIVE_FIELDS; `number` counts the job's changes from 1.
    """

    number: int
    fields: dict[str, Any]
    step: int | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(told["number"], told["fields"], told["step"])


def live_fields(spec: dict[str, Any]) -> dict[str, Any]:
    """The values of the live fields in a resolved spec."""
    return {name: spec[section][field] for name, (section, field) in LIVE_FIELDS.items()}


def with_fields(spec: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The spec with these values of live fields; `spec` itself is left alone."""
    changed = dict(spec)
    for name, value in fields.items():
        section, field = LIVE_FIELDS[name]
        changed[section] = {**(changed.get(section) or {}), field: value}
    return changed
