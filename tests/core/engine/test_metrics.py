"""Every metric against scikit-learn's, with and without event weights, ties among the scores included.

Signed weights, which scikit-learn refuses for curves, are compared with the definitions written out.
"""

from __future__ import annotations

import math
from itertools import pairwise
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
        "calibration_error": expected_calibration_error(y, p, np.ones(N) if w is None else w),
    }
    if classes > 2:
        for k in (2, 3):
            values[f"top_{k}_accuracy"] = sk.top_k_accuracy_score(y, p, k=k, sample_weight=w)
    if classes == 2:
        values["auc"] = sk.roc_auc_score(y, p[:, 1], sample_weight=w)
        values["average_precision"] = sk.average_precision_score(y, p[:, 1], sample_weight=w)
        values["brier"] = sk.brier_score_loss(y, p[:, 1], sample_weight=w)
        fpr, tpr, _ = sk.roc_curve(y, p[:, 1], sample_weight=w, drop_intermediate=False)
        for name, most in (("tpr_at_fpr", 0.01), ("tpr_at_fpr_0_1", 0.1), ("tpr_at_fpr_0_25", 0.25)):
            values[name] = tpr[fpr <= most].max()
    else:
        # its multi-class AUC takes no weights: one class against the rest, then the mean
        values["auc"] = np.mean([sk.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in range(classes)])
        assert w is not None or values["auc"] == pytest.approx(sk.roc_auc_score(y, p, **multi))
        truth = np.eye(classes)[y]
        values["average_precision"] = sk.average_precision_score(truth, p, average="macro", sample_weight=w)
        values["brier"] = np.average(((p - np.eye(classes)[y]) ** 2).sum(1), weights=w)
    return values


def expected_calibration_error(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """The definition, bin by bin: half-open intervals (a, b] as in `sklearn.calibration.calibration_curve`."""
    called, right = (p[:, 1], y == 1) if p.shape[1] == 2 else (p.max(1), p.argmax(1) == y)
    error = 0.0
    for low, high in pairwise(np.linspace(0, 1, 16)):
        here = (called > low) & (called <= high) | ((low == 0) & (called == 0))
        if w[here].any():
            error += w[here].sum() / w.sum() * abs(np.average(right[here] - called[here], weights=w[here]))
    return error


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


def signed_weights(random: np.random.Generator) -> np.ndarray:
    """A fifth of the events count negative, as in simulations of next-to-leading order."""
    return random.gamma(2.0, size=N) * np.where(random.random(N) < 0.2, -1, 1)


def signed_reference(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> dict[str, float]:
    """Two classes, everything written out over rows and pairs."""
    hit, score, cut = y == p.argmax(1), p[:, 1], p.argmax(1) == 1
    signal, noise = w[y == 1].sum(), w[y == 0].sum()
    above = np.sign(score[y == 1][:, None] - score[y == 0][None, :]) / 2 + 0.5
    thresholds = np.unique(score)[::-1]
    tpr, fpr = (np.array([w[(y == c) & (score >= t)].sum() for t in thresholds]) / w[y == c].sum() for c in (1, 0))
    called = np.array([w[score >= t].sum() for t in thresholds])
    precision = np.where(called > 0, tpr * signal / called, 0.0)
    first_too_many = int(np.argmax(fpr > 0.1))
    recall, purity = w[(y == 1) & cut].sum() / signal, w[(y == 1) & cut].sum() / w[cut].sum()
    return {
        "accuracy": w @ hit / w.sum(),
        "balanced_accuracy": (w[(y == 0) & ~cut].sum() / noise + recall) / 2,
        "precision": purity,
        "recall": recall,
        "f1": 2 * purity * recall / (purity + recall),
        "auc": w[y == 1] @ above @ w[y == 0] / (signal * noise),
        "average_precision": np.diff(np.r_[0.0, tpr]) @ np.clip(precision, 0, 1),
        "tpr_at_fpr_0_1": tpr[:first_too_many].max(),
        "log_loss": w @ -np.log(np.where(y == 1, score, 1 - score)) / w.sum(),
        "brier": w @ np.square(score - y) / w.sum(),
        "calibration_error": sum(
            abs(w[here] @ (y - score)[here])
            for low, high in pairwise(np.linspace(0, 1, 16))
            for here in [(score > low) & (score <= high)]
        )
        / w.sum(),
        "top_1_accuracy": w @ hit / w.sum(),
    }


@pytest.mark.parametrize("seed", range(3))
def test_signed_weights_in_classification(seed: int) -> None:
    random = np.random.default_rng(seed)
    y, p = scores(random, 2)
    p = np.clip(p + random.normal(size=(N, 1)) * [[0.01, -0.01]], 0.001, 0.999)
    w = signed_weights(random)
    expected = signed_reference(y, p, w)
    assert classification_metrics(expected, y, p, w) == pytest.approx(expected, rel=1e-9)


def test_signed_weights_in_regression(random: np.random.Generator) -> None:
    y = random.normal(size=(N, 2)) * 3 + 5
    f, w = y + random.normal(size=(N, 2)), signed_weights(random)
    mean = w @ y / w.sum()
    expected = {
        "mse": w @ np.square(f - y).mean(1) / w.sum(),
        "mae": w @ np.abs(f - y).mean(1) / w.sum(),
        "mape": w @ np.abs((f - y) / y).mean(1) / w.sum(),
        "r2": np.mean(1 - (w @ np.square(f - y)) / (w @ np.square(y - mean))),
    }
    assert regression_metrics(expected, y, f, w) == pytest.approx(expected, rel=1e-9)


def test_signed_weights_leave_no_figure_where_there_is_none() -> None:
    """A mean square below zero has no root; rates stay between 0 and 1; weights that sum to 0 have no mean."""
    y, f = np.zeros((2, 1)), np.array([[1.0], [2.0]])
    assert math.isnan(regression_metrics(["rmse"], y, f, np.array([1.5, -1.0]))["rmse"])
    assert math.isnan(regression_metrics(["mse"], y, f, np.array([1.0, -1.0]))["mse"])
    p = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    values = classification_metrics(["auc", "tpr_at_fpr_0_5"], np.array([1, 0, 1, 0]), p, np.array([5, 2, -2, -1]))
    assert values == {"auc": 1.0, "tpr_at_fpr_0_5": 1.0}


def test_scaled_errors_divide_by_the_width_that_training_rows_have(random: np.random.Generator) -> None:
    y, f = random.normal(size=(N, 2)) * [2, 5], random.normal(size=(N, 2))
    width = np.array([2.0, 5.0])
    values = regression_metrics(["scaled_mse", "scaled_mae"], y, f, None, width)
    assert values["scaled_mse"] == pytest.approx(sk.mean_squared_error(y / width, f / width))
    assert values["scaled_mae"] == pytest.approx(sk.mean_absolute_error(y / width, f / width))


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
