"""Every metric against scikit-learn's, with and without event weights, ties among the scores included."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from core.engine.metrics import classification_metrics, regression_metrics
from core.spec.metrics import METRICS

N = 300


def scores(random: np.random.Generator, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes and probabilities in steps, so that scores tie."""
    y = random.integers(classes, size=N)
    p = np.round(random.dirichlet(np.ones(classes), size=N) * 20) + 1 + 8 * np.eye(classes)[y]
    return y, p / p.sum(1, keepdims=True)


def sklearn_classification(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> dict[str, float]:
    called, classes = p.argmax(1), p.shape[1]
    average: Any = {"average": "binary" if classes == 2 else "macro", "sample_weight": w}
    multi = {"multi_class": "ovr", "labels": np.arange(classes)} if classes > 2 else {}
    values = {
        "accuracy": sk.accuracy_score(y, called, sample_weight=w),
        "balanced_accuracy": sk.balanced_accuracy_score(y, called, sample_weight=w),
        "precision": sk.precision_score(y, called, **average),
        "recall": sk.recall_score(y, called, **average),
        "f1": sk.f1_score(y, called, **average),
        "log_loss": sk.log_loss(y, p, sample_weight=w),
    }
    if classes == 2:
        values["auc"] = sk.roc_auc_score(y, p[:, 1], sample_weight=w)
        values["average_precision"] = sk.average_precision_score(y, p[:, 1], sample_weight=w)
        values["brier"] = sk.brier_score_loss(y, p[:, 1], sample_weight=w)
    else:
        # its multi-class AUC takes no weights: one class against the rest, then the mean
        values["auc"] = np.mean([sk.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in range(classes)])
        assert w is not None or values["auc"] == pytest.approx(sk.roc_auc_score(y, p, **multi))
        values["brier"] = np.average(((p - np.eye(classes)[y]) ** 2).sum(1), weights=w)
    return values


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_classification(classes: int, weighted: bool, random: np.random.Generator) -> None:
    y, p = scores(random, classes)
    w = random.random(N) * (random.random(N) > 0.1) if weighted else None
    expected = sklearn_classification(y, p, w)
    assert classification_metrics(expected, y, p, w) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", [1, 3])
def test_regression(weighted: bool, targets: int, random: np.random.Generator) -> None:
    y = random.normal(size=(N, targets)) * 3
    f = y + random.normal(size=(N, targets))
    w = random.random(N) if weighted else None
    mse = sk.mean_squared_error(y, f, sample_weight=w)
    expected = {
        "mse": mse,
        "rmse": math.sqrt(mse),
        "mae": sk.mean_absolute_error(y, f, sample_weight=w),
        "r2": sk.r2_score(y, f, sample_weight=w),
        "mape": sk.mean_absolute_percentage_error(y, f, sample_weight=w),
    }
    assert regression_metrics(expected, y, f, w) == pytest.approx(expected, rel=1e-12)


def test_every_metric_of_the_spec_is_there() -> None:
    y, p = np.array([0, 1]), np.array([[0.7, 0.3], [0.4, 0.6]])
    kinds = {name: "classification" in info.tasks for name, info in METRICS.items()}
    classification_metrics([name for name, is_class in kinds.items() if is_class], y, p, None)
    regression_metrics([name for name, is_class in kinds.items() if not is_class], p, p, None)


def test_what_is_not_defined_is_nan_and_no_error() -> None:
    one_class = np.zeros(3, dtype=np.int64)
    p = np.array([[0.7, 0.3]] * 3)
    values = classification_metrics(["auc", "average_precision", "f1", "accuracy"], one_class, p, None)
    assert math.isnan(values["auc"])
    assert math.isnan(values["average_precision"])
    assert values["accuracy"] == 1.0
    assert math.isnan(classification_metrics(["accuracy"], one_class, p, np.zeros(3))["accuracy"])
    nothing = np.empty((0, 1))
    assert all(math.isnan(v) for v in regression_metrics(["mse", "r2", "rmse"], nothing, nothing, None).values())
    broken = np.full((3, 2), math.nan)
    assert math.isnan(classification_metrics(["auc"], np.array([0, 1, 1]), broken, None)["auc"])


def test_r2_of_a_target_that_never_changes_is_scikit_learns() -> None:
    y, f = np.ones((5, 1)), np.full((5, 1), 1.5)
    assert regression_metrics(["r2"], y, f, None)["r2"] == sk.r2_score(y, f) == 0.0
    assert regression_metrics(["r2"], y, y, None)["r2"] == sk.r2_score(y, y) == 1.0
