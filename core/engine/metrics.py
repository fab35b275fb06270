"""The figures of `core.spec.metrics`, in float64 NumPy, weighted by event weights; scikit-learn's definitions.

Legend: N rows, C classes, T targets; y (N,) class index and p (N, C) probabilities, or y and f (N, T) numbers;
w (N,) weights, which may be negative (simulated events of next-to-leading order).

With negative weights every sum is signed: counts become sums of weights, curves go back and forth. Rates are then taken
as they come and cut to [0, 1] at the end; a sum that must be above 0 and is not leaves the figure undefined.
A figure that is not defined (one class alone, no weight) is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from core.spec.metrics import CALIBRATION_BINS, fpr_of, top_k

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def classification_metrics(names: Iterable[str], y: Ints, p: Floats, w: Floats | None) -> dict[str, float]:
    """The named metrics of predicted probabilities; the class called is the most probable one."""
    weights = np.ones(len(y)) if w is None else w
    called = p.argmax(1)
    confusion = confusion_matrix(y, called, weights, p.shape[1])
    with np.errstate(all="ignore"):
        return {name: _of_classes(name)(confusion, y, p, weights) for name in names}


def scores(error: Floats) -> Floats:
    """(N, 2) in place of probabilities: figures of ranks ask for no more of an anomaly's score than its order."""
    return np.column_stack((-error, error))


def regression_metrics(
    names: Iterable[str], y: Floats, f: Floats, w: Floats | None, width: Floats | None = None
) -> dict[str, float]:
    """The named metrics of predicted numbers, each the plain mean over the targets.

    `width` (T,) are the targets' deviations in the training rows, by which the scaled ones divide.
    """
    weights = np.ones(len(y)) if w is None else w
    with np.errstate(all="ignore"):
        values: dict[str, float] = {}
        for name in names:
            metric = _REGRESSION[name.removeprefix("scaled_")]
            unit = width if width is not None and name.startswith("scaled_") else 1.0
            values[name] = metric(y / unit, f / unit, weights)
        return values


def _of_classes(name: str) -> Callable[[Floats, Ints, Floats, Floats], float]:
    """The function of a name, with the number that the name carries."""
    if (k := top_k(name)) is not None:
        return partial(_top_k_accuracy, k)
    if (fpr := fpr_of(name)) is not None:
        return partial(_tpr_at_fpr, fpr)
    return _CLASSIFICATION[name]


def _mean(values: Floats, w: Floats) -> float:
    total = w.sum()
    return float(values @ w / total) if total > 0 else math.nan


def confusion_matrix(y: Ints, called: Ints, w: Floats, classes: int) -> Floats:
    """(C, C) weight of rows of class i called j."""
    cells = np.bincount(y * classes + called, weights=w, minlength=classes * classes)
    return cells.astype(np.float64).reshape(classes, classes)


def _accuracy(confusion: Floats, *_: object) -> float:
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total > 0 else math.nan


def _balanced_accuracy(confusion: Floats, *_: object) -> float:
    there = confusion.sum(1) > 0
    return float(np.mean(np.diag(confusion)[there] / confusion.sum(1)[there])) if there.any() else math.nan


def _per_class(confusion: Floats) -> tuple[Floats, Floats, Floats]:
    """Precision, recall, f1 of each class; 0 where nothing was called or is there."""
    hit = np.diag(confusion)
    called, there = confusion.sum(0), confusion.sum(1)
    precision = np.where(called > 0, hit / np.where(called > 0, called, 1), 0.0)
    recall = np.where(there > 0, hit / np.where(there > 0, there, 1), 0.0)
    both = called + there
    return precision, recall, np.where(both > 0, 2 * hit / np.where(both > 0, both, 1), 0.0)


def _averaged(which: int) -> Callable[..., float]:
    """The second class's figure when there are two, else the mean over the classes that occur."""

    def metric(confusion: Floats, *_: object) -> float:
        figures = _per_class(confusion)[which]
        if len(confusion) == 2:
            return float(figures[1])
        occurs = confusion.sum(0) + confusion.sum(1) > 0
        return float(figures[occurs].mean()) if occurs.any() else math.nan

    return metric


def ranked(positive: NDArray[np.bool_], score: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Weight of positives and of negatives at or above each distinct score, from the greatest score down."""
    order = np.argsort(-score, kind="stable")
    score, positive, w = score[order], positive[order], w[order]
    ends = np.r_[np.nonzero(np.diff(score))[0], len(score) - 1]
    return np.cumsum(w * positive)[ends], np.cumsum(w * ~positive)[ends]


def area_under_roc(positive: NDArray[np.bool_], score: Floats, w: Floats) -> float:
    """Probability that a positive scores above a negative, ties counting half."""
    if len(score) == 0 or np.isnan(score).any():
        return math.nan
    true, false = (np.r_[0.0, counts] for counts in ranked(positive, score, w))
    if true[-1] <= 0 or false[-1] <= 0:
        return math.nan
    return _rate(np.sum(np.diff(false) * (true[1:] + true[:-1])) / 2 / (true[-1] * false[-1]))


def _rate(value: float) -> float:
    """Within [0, 1], which signed weights leave by chance."""
    return min(1.0, max(0.0, float(value)))


def _of_each_class(metric: Callable[[NDArray[np.bool_], Floats, Floats], float]) -> Callable[..., float]:
    """The second class's figure when there are two, else the mean of each class against the rest."""

    def mean(_: Floats, y: Ints, p: Floats, w: Floats) -> float:
        if p.shape[1] == 2:
            return metric(y == 1, p[:, 1], w)
        return float(np.mean([metric(y == c, p[:, c], w) for c in range(p.shape[1])]))

    return mean


def average_precision(positive: NDArray[np.bool_], score: Floats, w: Floats) -> float:
    """Sum over the thresholds of precision times the step in recall, without interpolation."""
    if len(score) == 0 or np.isnan(score).any():
        return math.nan
    true, false = ranked(positive, score, w)
    if true[-1] <= 0:
        return math.nan
    called = true + false
    precision = np.clip(np.where(called > 0, true / np.where(called > 0, called, 1), 0.0), 0.0, 1.0)
    return _rate(np.sum(np.diff(np.r_[0.0, true]) / true[-1] * precision))


def _tpr_at_fpr(fpr: float, _: Floats, y: Ints, p: Floats, w: Floats) -> float:
    """The greatest true positive rate of a threshold before the false positive rate first exceeds `fpr`."""
    if len(y) == 0 or np.isnan(p).any():
        return math.nan
    true, false = (np.r_[0.0, counts] for counts in ranked(y == 1, p[:, 1], w))
    if true[-1] <= 0 or false[-1] <= 0:
        return math.nan
    allowed = np.maximum.accumulate(false / false[-1]) <= fpr
    return _rate((true / true[-1])[allowed].max())


def _top_k_accuracy(k: int, _: Floats, y: Ints, p: Floats, w: Floats) -> float:
    """Of equal probabilities the later class comes first, as scikit-learn has it."""
    first = np.argsort(p, axis=1, kind="stable")[:, ::-1][:, :k]
    return _mean((first == y[:, None]).any(1).astype(np.float64), w)


def _calibration_error(_: Floats, y: Ints, p: Floats, w: Floats) -> float:
    """Sum over the bins of |weight of what is right - weighted probability| over the whole weight (Guo et al. 2017)."""
    if np.isnan(p).any():
        return math.nan
    called, right = (p[:, 1], y == 1) if p.shape[1] == 2 else (p.max(1), p.argmax(1) == y)
    place = np.searchsorted(np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], called)
    gaps = np.bincount(place, weights=w * (right - called), minlength=CALIBRATION_BINS)
    total = w.sum()
    return float(np.abs(gaps).sum() / total) if total > 0 else math.nan


def _log_loss(_: Floats, y: Ints, p: Floats, w: Floats) -> float:
    eps = np.finfo(np.float64).eps
    return _mean(-np.log(np.clip(p[np.arange(len(y)), y], eps, 1 - eps)), w)


def _brier(_: Floats, y: Ints, p: Floats, w: Floats) -> float:
    """Two classes: (p - y)^2 of the second; more: summed over the classes (Brier 1950)."""
    truth = np.eye(p.shape[1])[y]
    squares = np.square(p - truth).sum(1)
    return _mean(squares / 2 if p.shape[1] == 2 else squares, w)


def _mse(y: Floats, f: Floats, w: Floats) -> float:
    return _mean(np.square(f - y).mean(1), w)


def _rmse(y: Floats, f: Floats, w: Floats) -> float:
    """Undefined where negative weights leave a mean below 0."""
    mse = _mse(y, f, w)
    return math.sqrt(mse) if mse >= 0 else math.nan


def _mae(y: Floats, f: Floats, w: Floats) -> float:
    return _mean(np.abs(f - y).mean(1), w)


def _mape(y: Floats, f: Floats, w: Floats) -> float:
    return _mean((np.abs(f - y) / np.maximum(np.abs(y), np.finfo(np.float64).eps)).mean(1), w)


def _r2(y: Floats, f: Floats, w: Floats) -> float:
    """1 - residual/variance for each target; a target that never changes gives 1 when met exactly, else 0."""
    total = w.sum()
    if len(y) < 2 or total <= 0:
        return math.nan
    residual = w @ np.square(y - f)
    variance = w @ np.square(y - w @ y / total)
    constant = np.where(residual == 0, 1.0, 0.0)
    return float(np.mean(np.where(variance > 0, 1 - residual / np.where(variance > 0, variance, 1), constant)))


_CLASSIFICATION: dict[str, Callable[[Floats, Ints, Floats, Floats], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "precision": _averaged(0),
    "recall": _averaged(1),
    "f1": _averaged(2),
    "auc": _of_each_class(area_under_roc),
    "average_precision": _of_each_class(average_precision),
    "log_loss": _log_loss,
    "brier": _brier,
    "calibration_error": _calibration_error,
}
_REGRESSION: dict[str, Callable[[Floats, Floats, Floats], float]] = {
    "mse": _mse,
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
    "mape": _mape,
}
