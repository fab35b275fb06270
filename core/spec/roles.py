"""Which part each column or array plays in a run: target, weight, split, features; and so the task and its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.spec.base import Shape
from core.spec.data import DataSpec
from core.spec.dataset import Category, Column, DatasetSchema
from core.spec.features import table_features
from core.spec.findings import Findings, nearest, one_of, show
from core.spec.job import JobSpec
from core.spec.labels import Label, refuse_train_on, resolve_label
from core.spec.layer_base import Code
from core.spec.limits import Limits
from core.spec.metrics import Task
from core.spec.targets import (
    MAX_AUTO_CLASSES,
    class_names,
    mismatch,
    several_targets,
    task_of,
    task_without_target,
    warn_of_floats,
)
from core.spec.window_roles import with_window

_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Roles:
    """What the data decide; None where they could not be read. `outputs` counts a regression's targets."""

    data: DataSpec
    task: Task | None = None
    classes: tuple[Category, ...] | None = None
    outputs: int = 1
    input_shape: Shape | None = None
    features: tuple[str, ...] = ()
    codes: tuple[Code, ...] = ()
    label: Label | None = None
    """Of a reconstruction with a target."""


def assign_roles(spec: JobSpec, schema: DatasetSchema, limits: Limits, findings: Findings) -> Roles:
    """The parts of all columns; faults and warnings go to `findings`."""
    if schema.kind == "arrays":
        return _array_roles(spec, schema, findings)
    if spec.data.window is not None:
        spec = with_window(spec, spec.data.window, schema, findings)
    else:
        _one_way_to_split(spec, findings)
    targets = _targets(spec, schema, findings)
    task = _table_task(spec, targets, schema, findings)
    data = _with_defaults(spec.data, schema, task, targets)
    reserved = _reserved(data, schema, findings)
    classes = (
        class_names(targets[0].categories, targets[0].name, findings) if task == "classification" and targets else None
    )
    features = table_features(data, schema, reserved, limits, findings)
    resolved = data.model_copy(update={"features": features.listed or None})
    outputs, shape = max(len(targets), 1), features.shape
    if data.window is not None:
        outputs, shape = outputs * data.window.horizon, None if shape is None else (data.window.length, *shape)
    label = None
    if task == "reconstruction" and targets:
        label = resolve_label(data, targets[0].name, targets[0].categories, targets[0].counts, findings)
    elif task is not None:
        refuse_train_on(data, f"for the task {task}" + ("" if targets else " without a target"), findings)
    return Roles(resolved, task, classes, outputs, shape, features.names, features.codes, label)


def _one_way_to_split(spec: JobSpec, findings: Findings) -> None:
    ways = [name for name in ("group", "order_by", "column") if getattr(spec.data.split, name) is not None]
    if len(ways) > 1:
        findings.fault(
            f"/data/split/{ways[-1]}",
            "conflicting_split",
            f"received {' and '.join(ways)} together, expected one of them at most; do keep the one that decides",
        )


def find_column(name: str, where: str, schema: DatasetSchema, findings: Findings) -> Column | None:
    """The column of that name; one that is not there is a fault at `where` that names the nearest."""
    column = schema.column(name)
    if column is None:
        known = [each.name for each in schema.columns]
        near = nearest(name, known)
        advice = f"write {show(near)} (did you mean it?)" if near else "choose one of them"
        findings.fault(
            where,
            "unknown_column",
            f"received {show(name)}, expected a column of the data set: {one_of(known)}; do {advice}",
            needs=("/data/dataset",),
        )
    return column


def _targets(spec: JobSpec, schema: DatasetSchema, findings: Findings) -> list[Column]:
    names: Sequence[str] = spec.data.targets
    if not names and spec.task != "reconstruction" and schema.default_target is not None:
        names = (schema.default_target,)
    listed = not isinstance(spec.data.target, str)
    columns = []
    for index, name in enumerate(names):
        where = f"/data/target/{index}" if listed and spec.data.target is not None else "/data/target"
        if name in names[:index]:
            findings.fault(where, "duplicate", f"received {show(name)} twice, expected it once; do remove one")
        if column := find_column(name, where, schema, findings):
            columns.append(column)
    return columns


def _table_task(spec: JobSpec, targets: list[Column], schema: DatasetSchema, findings: Findings) -> Task | None:
    if not targets:
        return task_without_target(spec, schema, findings)
    where = "/data/target"
    for column in targets:
        if column.type == "datetime":
            findings.fault(where, "datetime_target", mismatch(column, "numbers or classes", "choose another column"))
            return None
    if spec.task == "reconstruction" and len(targets) == 1:
        return "reconstruction"
    if len(targets) > 1:
        return several_targets(spec, targets, findings)
    return task_of(targets[0], spec, findings)


def _with_defaults(data: DataSpec, schema: DatasetSchema, task: Task | None, targets: list[Column]) -> DataSpec:
    """With the target, weight and split of a built-in set written out, and stratify as it will be done."""
    split: dict[str, Any] = {}
    if schema.default_split and not (data.split.column or data.split.group or data.split.order_by):
        split["column"] = schema.default_split
    column = split.get("column", data.split.column)
    if task != "classification" or column or data.split.group or data.split.order_by:
        split["stratify"] = False
    update: dict[str, Any] = {"split": data.split.model_copy(update=split)}
    if data.target is None and targets:
        update["target"] = targets[0].name
    if data.weight is None:
        update["weight"] = schema.default_weight
    return data.model_copy(update=update)


def _reserved(data: DataSpec, schema: DatasetSchema, findings: Findings) -> dict[str, str]:
    """Columns that are no features, each with its part."""
    # what a window predicts it may look back at
    reserved = {} if data.window is not None else dict.fromkeys(data.targets, "target")
    if schema.default_target is not None and not data.targets:
        reserved[schema.default_target] = "target"
    split = data.split
    parts = [("weight", data.weight), ("split/group", split.group), ("split/order_by", split.order_by)]
    if data.window is not None and data.window.series != split.group:
        parts.append(("window/series", data.window.series))
    for part, name in [*parts, ("split/column", split.column)]:
        if name is None:
            continue
        where = f"/data/{part}"
        column = find_column(name, where, schema, findings)
        if reserved.get(name, part) != part:
            findings.fault(
                where,
                "two_parts",
                f"received {show(name)}, which is the {reserved[name]} too, expected a column for each part; do name "
                "another",
                needs=("/data/target",),
            )
        if column is not None:
            _check_part(part, column, where, findings)
        reserved.setdefault(name, part)
    return reserved


def _check_part(part: str, column: Column, where: str, findings: Findings) -> None:
    if part == "weight" and column.type not in ("float", "integer"):
        findings.fault(where, "no_numbers", mismatch(column, "numbers", "choose another column"))
    elif part == "weight" and column.min is not None and column.min < 0:
        findings.warn(
            "negative_weights",
            where,
            f"weights begin at {column.min:g}; signed weights count with their sign in the loss and in every metric, "
            "and each part's must sum to more than 0",
        )
    elif part == "split/order_by" and column.type in ("string", "boolean"):
        findings.fault(where, "no_order", mismatch(column, "numbers or times to sort by", "choose another column"))
    elif part != "weight" and column.missing:
        findings.fault(
            where,
            "missing_values",
            f"received {show(column.name)}, where {column.missing} rows have no value, expected one in each; do fill "
            "them or choose another column",
        )
    elif part == "split/column":
        _check_split_values(column.categories, where, findings)


def _check_split_values(categories: tuple[Category, ...] | None, where: str, findings: Findings) -> None:
    wrong = [value for value in categories or ("",) if value not in _SPLITS]
    if wrong:
        findings.fault(
            where,
            "split_values",
            f"received rows that say {show(wrong[0])}, expected train, validation or test in each; do rename the "
            "values",
        )
    elif categories is not None and "train" not in categories:
        findings.fault(
            where, "no_training_rows", "received no row that says train, expected some; do mark some rows train"
        )


def _array_roles(spec: JobSpec, schema: DatasetSchema, findings: Findings) -> Roles:
    x, y = schema.array("x"), schema.array("y")
    _refuse_table_fields(spec.data, findings)
    allowed = {"weight": schema.array("weight"), "split/column": schema.array("split")}
    for part, name in (("weight", spec.data.weight), ("split/column", spec.data.split.column)):
        expected = part.split("/", maxsplit=1)[0]
        if name is not None and (name != expected or allowed[part] is None):
            known = [array.name for array in schema.arrays]
            findings.fault(
                f"/data/{part}",
                "unknown_array",
                f"received {show(name)}, expected an array {expected} in the file (it has {', '.join(known)}); do "
                "add it",
            )
    task, classes, outputs = _array_task(spec, schema, findings)
    supervised = task in ("classification", "regression")
    labelled = task == "reconstruction" and bool(spec.data.targets)
    split: dict[str, Any] = {"stratify": spec.data.split.stratify and task == "classification"}
    if schema.array("split"):
        split |= {"column": "split", "stratify": False}
    data = spec.data.model_copy(
        update={
            "target": "y" if y and (supervised or labelled) else None,
            "weight": "weight" if schema.array("weight") else None,
            "split": spec.data.split.model_copy(update=split),
        }
    )
    shape = (x.shape or (1,)) if x else None
    label = None
    if labelled and y:
        label = resolve_label(data, "y", y.categories, y.counts, findings)
    elif task is not None:
        refuse_train_on(data, f"for the task {task}" + ("" if supervised else " without a target"), findings)
    return Roles(data, task, classes, outputs, shape, label=label)


def _array_task(
    spec: JobSpec, schema: DatasetSchema, findings: Findings
) -> tuple[Task | None, tuple[Category, ...] | None, int]:
    y = schema.array("y")
    if spec.data.targets not in ((), ("y",)) or (spec.data.targets and y is None):
        expected = "null (y is the target)" if y else "null: the file has no array y"
        findings.fault(
            "/data/target",
            "unknown_array",
            f"received {show(spec.data.target)}, expected {expected}; do leave target out",
        )
        return None, None, 1
    if spec.task == "reconstruction" or y is None:
        has_label = spec.task == "reconstruction" and bool(spec.data.targets)
        return "reconstruction" if has_label else task_without_target(spec, schema, findings), None, 1
    scalar, few = y.shape == (), y.categories is not None and len(y.categories) <= MAX_AUTO_CLASSES
    words, floats = not y.dtype.startswith(("int", "uint", "float", "bool")), y.dtype.startswith("float")
    if spec.task == "auto" and few and floats:
        warn_of_floats("y", y.categories, findings)
        few = False
    if spec.task == "classification" or (spec.task == "auto" and scalar and (words or few)):
        if not scalar or y.categories is None:
            findings.fault(
                "/task",
                "no_classes",
                f"received y of shape {['N', *y.shape]} and type {y.dtype}, expected one of at most 1,000 classes "
                "for each "
                "row; do set task to regression",
            )
            return None, None, 1
        return "classification", class_names(y.categories, "y", findings), 1
    if words or len(y.shape) > 1:
        findings.fault(
            "/task",
            "no_numbers",
            f"received y of shape {['N', *y.shape]} and type {y.dtype}, expected numbers; do change y",
        )
        return None, None, 1
    return "regression", None, y.shape[0] if y.shape else 1


def _refuse_table_fields(data: DataSpec, findings: Findings) -> None:
    """Fields that name columns, which arrays have none of."""
    named = {
        "/data/features": data.features,
        "/data/split/group": data.split.group,
        "/data/split/order_by": data.split.order_by,
        "/data/derive": data.derive,
        "/data/polynomial": data.polynomial,
        "/data/input_shape": data.input_shape,
        "/data/window": data.window,
    }
    for where, value in named.items():
        if value:
            findings.fault(
                where,
                "needs_columns",
                f"received {show(value)} for a data set of arrays, expected a table with columns; do leave it out",
            )
