"""Data sets for the tests of the spec, as schemas alone."""

from __future__ import annotations

from typing import Any

from core.errors import FieldError, Invalid
from core.spec.data import DataSpec
from core.spec.dataset import ArrayInfo, Column, DatasetSchema
from core.spec.limits import Limits
from core.spec.plan import Plan, check_job


def numbers(*names: str, **more: Any) -> tuple[Column, ...]:
    return tuple(Column(name=name, type="float", mean=0.0, std=1.0, min=-3.0, max=3.0, **more) for name in names)


DIGITS = DatasetSchema(
    kind="table",
    rows=1797,
    columns=(
        *numbers(*(f"pixel_{i}" for i in range(64))),
        Column(name="label", type="integer", distinct=10, categories=tuple(range(10))),
    ),
    default_target="label",
)
PEOPLE = DatasetSchema(
    kind="table",
    rows=1000,
    columns=(
        *numbers("age", "height"),
        Column(name="income", type="float", mean=40_000.0, std=20_000.0, min=0.0, max=1e6, missing=12),
        Column(name="city", type="string", distinct=3, categories=("Bonn", "Kiel", "Ulm")),
        Column(name="member", type="boolean", distinct=2, categories=(False, True)),
        Column(name="born", type="datetime"),
        Column(name="letter", type="string", distinct=None),
        Column(name="household", type="integer", distinct=400),
        Column(name="weight", type="float", min=0.0, max=2.0),
        Column(name="part", type="string", distinct=2, categories=("test", "train")),
        Column(name="bought", type="string", distinct=2, categories=("no", "yes")),
        Column(name="children", type="integer", distinct=7, categories=tuple(range(7)), min=0.0),
        Column(name="change", type="float", min=-2.0, max=2.0, mean=0.0, std=1.0),
    ),
)
IMAGES = DatasetSchema(
    kind="arrays",
    rows=500,
    arrays=(
        ArrayInfo(name="x", shape=(3, 8, 8), dtype="float32"),
        ArrayInfo(name="y", shape=(), dtype="int64", categories=(0, 1, 2)),
        ArrayInfo(name="weight", shape=(), dtype="float32"),
    ),
)
TARGETS = DatasetSchema(
    kind="arrays",
    rows=500,
    arrays=(ArrayInfo(name="x", shape=(6,), dtype="float32"), ArrayInfo(name="y", shape=(2,), dtype="float64")),
)
ONLY_X = DatasetSchema(kind="arrays", rows=500, arrays=(ArrayInfo(name="x", shape=(4, 5), dtype="float32"),))
SETS = {"digits": DIGITS, "people": PEOPLE, "images": IMAGES, "targets": TARGETS, "only_x": ONLY_X}

LINEAR: dict[str, Any] = {"layers": []}


def find_schema(data: DataSpec) -> DatasetSchema | None:
    if "refused" in data.parameters:
        raise Invalid("no", errors=[FieldError("/data/parameters/refused", "unknown_parameter", "no")])
    return SETS.get(data.dataset)


def plan(body: object, limits: Limits | None = None) -> Plan:
    return check_job(body, find_schema, limits or Limits())


def job(dataset: str = "digits", *layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A body; `data` among `more` is merged into the data section."""
    data = {"dataset": dataset, **more.pop("data", {})}
    return {"data": data, "network": {"layers": list(layers)}, **more}


def faults(body: object, limits: Limits | None = None) -> dict[str, str]:
    """Pointer and code of every fault of a body, {} when it has none."""
    return {pointer: error.code for pointer, error in fault_details(body, limits).items()}


def fault_details(body: object, limits: Limits | None = None) -> dict[str, FieldError]:
    """The first fault of each pointer."""
    try:
        plan(body, limits)
    except Invalid as error:
        return {each.pointer: each for each in reversed(error.errors)}
    return {}
