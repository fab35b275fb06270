"""What the target asks for: the task, and the classes of one that names some."""

from __future__ import annotations

from core.spec.dataset import Category, Column, DatasetSchema
from core.spec.findings import Findings, show
from core.spec.job import JobSpec
from core.spec.metrics import Task

MAX_AUTO_CLASSES = 50
_TARGET_NAMES = frozenset({"label", "labels", "target", "class", "y"})
_NEEDS_TARGET = ("/data/target", "/task", "/data/dataset")


def task_of(column: Column, spec: JobSpec, findings: Findings) -> Task | None:
    """What one target asks for, or whether it can be what was asked for."""
    if spec.task == "auto":
        few = column.categories is not None and len(column.categories) <= MAX_AUTO_CLASSES
        if few and column.type == "float":
            warn_of_floats(column.name, column.categories, findings)
        return (
            "classification"
            if column.type in ("string", "boolean") or (few and column.type == "integer")
            else "regression"
        )
    if spec.task == "classification" and column.categories is None:
        wanted, do = (
            "at most 1,000 classes (strings, booleans or whole numbers)",
            "set task to regression or choose another",
        )
        findings.fault("/data/target", "no_classes", mismatch(column, wanted, do), needs=("/task",))
        return None
    if spec.task == "regression" and column.type in ("string", "boolean"):
        do = "set task to classification or choose another"
        findings.fault("/data/target", "no_numbers", mismatch(column, "numbers", do), needs=("/task",))
        return None
    return spec.task


def several_targets(spec: JobSpec, targets: list[Column], findings: Findings) -> Task | None:
    if spec.task in ("classification", "reconstruction"):
        findings.fault(
            "/data/target",
            "one_target",
            f"received {len(targets)} targets, expected one for {spec.task}; do name one",
            needs=("/task",),
        )
        return None
    words = [column for column in targets if column.type in ("string", "boolean")]
    if words:
        findings.fault("/data/target", "no_numbers", mismatch(words[0], "numbers in every target", "leave it out"))
        return None
    return "regression"


def task_without_target(spec: JobSpec, schema: DatasetSchema, findings: Findings) -> Task | None:
    if findings.errors and spec.data.target is not None:
        return None
    if spec.task in ("classification", "regression"):
        findings.fault(
            "/data/target",
            "missing",
            f"received no target, expected one for {spec.task}; do name the column to predict",
            needs=_NEEDS_TARGET,
        )
        return None
    if spec.task == "auto" and not findings.is_tainted("/data/target", "/task"):
        findings.warn(
            "no_target",
            "/data/target",
            "no target is named, so the network learns to reproduce its inputs; name one to predict it"
            + _likely(schema),
        )
    return "reconstruction"


def _likely(schema: DatasetSchema) -> str:
    """The column that its name gives away."""
    found = [column.name for column in schema.columns if column.name.lower() in _TARGET_NAMES]
    return f", such as {show(found[0])}" if found else ""


def class_names(categories: tuple[Category, ...] | None, name: str, findings: Findings) -> tuple[Category, ...] | None:
    if categories is None or len(categories) < 2:
        findings.fault(
            "/data/target",
            "too_few_classes",
            f"received {show(name)} with {len(categories or ())} classes, expected at least 2; do choose another "
            "target",
            needs=_NEEDS_TARGET,
        )
        return None
    return categories


def warn_of_floats(name: str, categories: tuple[Category, ...] | None, findings: Findings) -> None:
    """Labels that a file holds as 0.0 and 1.0 are numbers until the task says otherwise."""
    findings.warn(
        "looks_like_classes",
        "/task",
        f"{show(name)} holds {len(categories or ())} different whole numbers as floats and is taken for a number; if "
        "they name classes, set task to classification",
    )


def mismatch(column: Column, expected: str, do: str) -> str:
    distinct = "more than 10000" if column.distinct is None else str(column.distinct)
    return f"received the {column.type} column {show(column.name)} of {distinct} values, expected {expected}; do {do}"
