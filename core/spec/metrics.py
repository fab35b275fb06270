"""The figures that a run can report: one table, and the names of those that take a number.

`top_<k>_accuracy` and `tpr_at_fpr_0_<decimals>` carry their number in the name, so that a metric is one word in every
row of the history. A spec may also write them as objects, `{"type": "tpr_at_fpr", "fpr": 0.01}`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator
from pydantic_core import PydanticCustomError

Task = Literal["classification", "regression", "reconstruction"]
Metric = Literal[
    "accuracy",
    "balanced_accuracy",
    "f1",
    "precision",
    "recall",
    "auc",
    "average_precision",
    "tpr_at_fpr",
    "log_loss",
    "brier",
    "calibration_error",
    "top_k_accuracy",
    "mse",
    "rmse",
    "mae",
    "r2",
    "mape",
    "scaled_mse",
    "scaled_mae",
]

DEFAULT_TOP_K = 5
DEFAULT_FPR = 0.01
CALIBRATION_BINS = 15
_TOP_K = re.compile(r"^top_([1-9][0-9]{0,3})_accuracy$")
_TPR = re.compile(r"^tpr_at_fpr_0_([0-9]{1,6})$")


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """Where a metric applies; `higher_is_better` decides what early stopping waits for."""

    summary: str
    tasks: frozenset[Task]
    higher_is_better: bool
    binary_only: bool = False


_CLASSES: frozenset[Task] = frozenset({"classification"})
_SCORES: frozenset[Task] = frozenset({"classification", "reconstruction"})
"""Classes, and the label of a reconstruction, whose error is the score of an anomaly."""
_NUMBERS: frozenset[Task] = frozenset({"regression", "reconstruction"})

METRICS: dict[str, MetricInfo] = {
    "accuracy": MetricInfo("share of rows whose class is right", _CLASSES, True),
    "balanced_accuracy": MetricInfo("mean over the classes of the share found", _CLASSES, True),
    "f1": MetricInfo(
        "harmonic mean of precision and recall; mean over the classes when there are more than two", _CLASSES, True
    ),
    "precision": MetricInfo(
        "share of rows called positive that are; mean over the classes when more than two", _CLASSES, True
    ),
    "recall": MetricInfo("share of the positive rows found; mean over the classes when more than two", _CLASSES, True),
    "auc": MetricInfo(
        "area under the ROC curve; mean of one against the rest when more than two classes; of a reconstruction with a "
        "label that of its error over anomalies",
        _SCORES,
        True,
    ),
    "average_precision": MetricInfo(
        "area under precision over recall; mean of one against the rest when more than two classes; of a "
        "reconstruction with a label that of its error",
        _SCORES,
        True,
    ),
    "tpr_at_fpr": MetricInfo(
        "share of the second class found (signal efficiency) where at most 1 % of the first is called so; "
        "tpr_at_fpr_0_001 is at 0.1 %",
        _SCORES,
        True,
        binary_only=True,
    ),
    "log_loss": MetricInfo("mean of -log of the probability given to the right class", _CLASSES, False),
    "brier": MetricInfo("mean squared difference of probability and truth", _CLASSES, False),
    "calibration_error": MetricInfo(
        "expected calibration error: mean difference of probability and share that is right over 15 bins of equal "
        "width; of the second class when there are two, else of the class called",
        _CLASSES,
        False,
    ),
    "top_k_accuracy": MetricInfo(
        "share of rows whose class is among the 5 most probable; top_3_accuracy is of 3", _CLASSES, True
    ),
    "mse": MetricInfo("mean squared error, in the square of the target's unit", _NUMBERS, False),
    "rmse": MetricInfo("root of the mean squared error, in the target's unit", _NUMBERS, False),
    "mae": MetricInfo("mean absolute error, in the target's unit", _NUMBERS, False),
    "r2": MetricInfo("share of the variance explained, 1 at best", _NUMBERS, True),
    "mape": MetricInfo("mean of the absolute error over the absolute target", _NUMBERS, False),
    "scaled_mse": MetricInfo(
        "mean squared error of targets brought to deviation 1 in the training rows",
        frozenset({"regression"}),
        False,
    ),
    "scaled_mae": MetricInfo(
        "mean absolute error of targets brought to deviation 1 in the training rows", frozenset({"regression"}), False
    ),
}


def top_k(name: str) -> int | None:
    """k of `top_<k>_accuracy` (5 of top_k_accuracy), None for another name."""
    if name == "top_k_accuracy":
        return DEFAULT_TOP_K
    found = _TOP_K.match(name)
    return int(found[1]) if found else None


def fpr_of(name: str) -> float | None:
    """The false positive rate of `tpr_at_fpr_0_01` (0.01 of tpr_at_fpr), None for another name."""
    if name == "tpr_at_fpr":
        return DEFAULT_FPR
    found = _TPR.match(name)
    return float(f"0.{found[1]}") if found else None


def metric_info(name: str) -> MetricInfo | None:
    """The table's entry for a name, whatever number it carries; None for a name that is no metric."""
    if top_k(name) is not None:
        return METRICS["top_k_accuracy"]
    return METRICS["tpr_at_fpr"] if fpr_of(name) else METRICS.get(name)


def _named(value: Any, otherwise: ValidatorFunctionWrapHandler) -> str:
    """The name of a metric, however it was written."""
    if isinstance(value, Mapping):
        return _name_of(value)
    if isinstance(value, str) and (top_k(value) is not None or fpr_of(value)):
        return value
    return str(otherwise(value))


def _name_of(value: Mapping[str, Any]) -> str:
    match dict(value):
        case {"type": "top_k_accuracy" | "top_k", "k": int(k), **others} if not others and 1 <= k < 10_000:
            return f"top_{k}_accuracy"
        case {"type": "tpr_at_fpr", "fpr": float(fpr), **others} if not others and 1e-6 <= fpr < 1:
            decimals = f"{fpr:.6f}".rstrip("0")
            if math.isclose(float(decimals), fpr, rel_tol=1e-9):
                return "tpr_at_fpr_" + decimals.replace(".", "_")
        case {"type": str(name), **others} if not others and name in METRICS:
            return name
    raise PydanticCustomError(
        "bad_metric",
        'received an object, expected a name, {"type": "top_k_accuracy", "k": 3} or {"type": "tpr_at_fpr", "fpr": '
        "0.01} with a rate between 0 and 1 of at most six decimals; do write one of them",
        {"field": next((field for field in ("k", "fpr") if field in value), "type")},
    )


NamedMetric = Annotated[
    Metric,
    WrapValidator(_named),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(get_args(Metric)), "type": "string"},
                {"pattern": _TOP_K.pattern, "type": "string"},
                {"pattern": _TPR.pattern, "type": "string"},
                {
                    "type": "object",
                    "properties": {"type": {"const": "top_k_accuracy"}, "k": {"type": "integer", "minimum": 1}},
                    "required": ["type", "k"],
                },
                {
                    "type": "object",
                    "properties": {"type": {"const": "tpr_at_fpr"}, "fpr": {"type": "number", "exclusiveMinimum": 0}},
                    "required": ["type", "fpr"],
                },
            ]
        }
    ),
]
"""A metric as a spec writes it; a resolved spec has its name."""


def always_reported(task: Task, *, binary: bool, window: bool = False) -> tuple[Metric, ...]:
    """The metrics that a run of this task reports whether asked or not (the loss apart).

    `binary`: of two classes; of a reconstruction, that it has a label. Forecasts (`window`) are compared across data
    sets on the scaled columns, as the literature does.
    """
    if task == "classification":
        return ("accuracy", "auc") if binary else ("accuracy",)
    if task == "regression":
        return ("mse", "rmse", "mae", "r2", "scaled_mse", "scaled_mae") if window else ("mse", "rmse", "mae", "r2")
    return ("mse", "mae", "auc", "average_precision") if binary else ("mse", "mae")


def needs_label(task: str, name: str) -> bool:
    """Whether a reconstruction can report the figure only when it has a label."""
    info = metric_info(name)
    return task == "reconstruction" and info is not None and "classification" in info.tasks


def improves_upwards(name: str) -> bool:
    """Whether more is better for `<split>.<metric>` or a bare metric name; a loss goes down."""
    info = metric_info(name.rpartition(".")[2])
    return info is not None and info.higher_is_better
