"""The figures that a run can report: one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["classification", "regression", "reconstruction"]
Metric = Literal[
    "accuracy",
    "balanced_accuracy",
    "f1",
    "precision",
    "recall",
    "auc",
    "average_precision",
    "log_loss",
    "brier",
    "mse",
    "rmse",
    "mae",
    "r2",
    "mape",
]


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """Where a metric applies; `higher_is_better` decides what early stopping waits for."""

    summary: str
    tasks: frozenset[Task]
    higher_is_better: bool
    binary_only: bool = False


_CLASSES: frozenset[Task] = frozenset({"classification"})
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
        "area under the ROC curve; mean of one against the rest when more than two classes", _CLASSES, True
    ),
    "average_precision": MetricInfo("area under precision over recall", _CLASSES, True, binary_only=True),
    "log_loss": MetricInfo("mean of -log of the probability given to the right class", _CLASSES, False),
    "brier": MetricInfo("mean squared difference of probability and truth", _CLASSES, False),
    "mse": MetricInfo("mean squared error, in the square of the target's unit", _NUMBERS, False),
    "rmse": MetricInfo("root of the mean squared error, in the target's unit", _NUMBERS, False),
    "mae": MetricInfo("mean absolute error, in the target's unit", _NUMBERS, False),
    "r2": MetricInfo("share of the variance explained, 1 at best", _NUMBERS, True),
    "mape": MetricInfo("mean of the absolute error over the absolute target", _NUMBERS, False),
}


def always_reported(task: Task, *, binary: bool) -> tuple[Metric, ...]:
    """The metrics that a run of this task reports whether asked or not (the loss apart)."""
    if task == "classification":
        return ("accuracy", "auc") if binary else ("accuracy",)
    if task == "regression":
        return ("mse", "rmse", "mae", "r2")
    return ("mse", "mae")


def improves_upwards(name: str) -> bool:
    """Whether more is better for `<split>.<metric>` or a bare metric name; a loss goes down."""
    info = METRICS.get(name.rpartition(".")[2])
    return info is not None and info.higher_is_better
