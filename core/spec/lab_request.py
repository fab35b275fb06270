"""Requests to the lab: short forms written out, every fault told at the place where the user wrote it.

`"adam"` and `{"type": "sgd", "lr": 0.1}` stand for an entrant with that optimizer, `"he"` for `{"type": "he"}`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from core.errors import FieldError, Invalid
from core.spec.findings import show
from core.spec.lab import EXPERIMENTS, ActivationLab, InitLab, NetworkRace, SurfaceRace
from core.spec.limits import Limits
from core.spec.locate import locate
from core.spec.plan import FindSchema, Plan, check_job
from core.spec.validation import translated

Model = TypeVar("Model", bound=BaseModel)
Experiment = SurfaceRace | NetworkRace | InitLab | ActivationLab
# pointer of what was written out -> pointer of what the user wrote
_Places = dict[str, str]


def read_experiment(kind: str, body: object) -> Experiment:
    """The experiment that `body` describes; Invalid with every fault in it."""
    assert kind in EXPERIMENTS
    if not isinstance(body, dict):
        raise _invalid([FieldError("", "not_an_object", f"received {show(body)}, expected an object; do send one")])
    places: _Places = {}
    if kind == "init":
        return _read(InitLab, _written_out(body, "combinations", _combination, places), places)
    if kind == "activations":
        return _read(ActivationLab, _written_out(body, "activations", _typed, places), places)
    if "surface" in body and ("network" in body or "data" in body):
        detail = "received a surface beside a network, expected one of them; do remove surface, or network and data"
        raise _invalid([FieldError("/surface", "surface_or_network", detail)])
    on_network = "network" in body or "data" in body
    body = _written_out(body, "optimizers", _entrant, places)
    if isinstance(body.get("loss"), dict) and "type" not in body["loss"]:
        body = {**body, "loss": {"type": "auto", **body["loss"]}}
    return _read(NetworkRace, body, places) if on_network else _read(SurfaceRace, body, places)


def plan_race(race: NetworkRace, find_schema: FindSchema, limits: Limits) -> Plan:
    """The plan of the race's network with its first optimizer; Invalid with every fault, as `check_job`."""
    first = race.optimizers[0]
    body = {
        **{name: getattr(race, name).model_dump(mode="json") for name in ("network", "data", "loss")},
        "task": race.task,
        "optimizer": first.optimizer.model_dump(mode="json"),
        "schedule": first.schedule.model_dump(mode="json"),
        "training": {"batch_size": race.batch_size, "seed": race.seed, "epochs": 1},
    }
    try:
        return check_job(body, find_schema, limits)
    except Invalid as error:
        raise _invalid([_in_race(fault) for fault in error.errors]) from None


def _in_race(fault: FieldError) -> FieldError:
    """The same fault where the race has it."""
    for theirs, ours in (
        ("/training/batch_size", "/batch_size"),
        ("/training", ""),
        ("/optimizer", "/optimizers/0/optimizer"),
        ("/schedule", "/optimizers/0/schedule"),
    ):
        if fault.pointer == theirs or fault.pointer.startswith(f"{theirs}/"):
            return FieldError(ours + fault.pointer.removeprefix(theirs), fault.code, fault.detail)
    return fault


def _read(model: type[Model], body: dict[str, Any], places: _Places) -> Model:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        found = [(each, locate(model, each["loc"], body)) for each in error.errors(include_url=False)]
    raise _invalid([_where_written(fault, places) for fault in translated(found)])


def _where_written(fault: FieldError, places: _Places) -> FieldError:
    """The fault with the pointer into what the user sent."""
    for ours in sorted(places, key=len, reverse=True):
        if fault.pointer == ours or fault.pointer.startswith(f"{ours}/"):
            return FieldError(places[ours] + fault.pointer.removeprefix(ours), fault.code, fault.detail)
    return fault


def _written_out(
    body: dict[str, Any], field: str, write_out: Callable[[Any, str, _Places], Any], places: _Places
) -> dict[str, Any]:
    """The body with the short forms among the entries of one list written out."""
    entries = body.get(field)
    if not isinstance(entries, list):
        return body
    return {**body, field: [write_out(entry, f"/{field}/{index}", places) for index, entry in enumerate(entries)]}


def _entrant(entry: Any, at: str, places: _Places) -> Any:
    if isinstance(entry, str):
        places[f"{at}/optimizer/type"] = places[f"{at}/optimizer"] = at
        return {"optimizer": {"type": entry}}
    if not isinstance(entry, dict):
        return entry
    if "type" in entry:
        places[f"{at}/optimizer"] = at
        rest = {name: value for name, value in entry.items() if name in ("schedule", "name")}
        entry = {"optimizer": {name: value for name, value in entry.items() if name not in rest}, **rest}
    return {
        name: _typed(value, f"{at}/{name}", places) if name in ("optimizer", "schedule") else value
        for name, value in entry.items()
    }


def _combination(entry: Any, at: str, places: _Places) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {
        name: _typed(value, f"{at}/{name}", places) if name in ("activation", "init") else value
        for name, value in entry.items()
    }


def _typed(value: Any, at: str, places: _Places) -> Any:
    """A name as the object of that type with every default."""
    if not isinstance(value, str):
        return value
    places[f"{at}/type"] = at
    return {"type": value}


def _invalid(faults: list[FieldError]) -> Invalid:
    plural = "1 error" if len(faults) == 1 else f"{len(faults)} errors"
    return Invalid(f"the request has {plural}", errors=faults, hint="each error names the field and what to do")
