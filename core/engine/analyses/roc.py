"""True against false positive rate at every threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.engine.analyses.context import Context, part_of
from core.engine.metrics import area_under_roc, ranked
from core.engine.outputs import forward, probabilities
from core.engine.safe import short
from core.spec.analyses import Roc
from core.spec.dataset import Category

Floats = NDArray[np.float64]
_MOST_CURVES = 20
_EFFICIENCIES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Curve:
    """Rates at or above each threshold, from the greatest score down; the first threshold is infinite, its rates 0."""

    fpr: Floats
    tpr: Floats
    thresholds: Floats


def roc(request: Roc, context: Context) -> dict[str, Any]:
    """`curves`, one for each class that is looked at, with its weighted area; `auc` is the mean of all areas.

    `working_points` are the false positive rates at chosen true positive rates, linear between thresholds.
    """
    part = part_of(context, request.split)
    classes = list(context.model.classes or ())
    p = probabilities(forward(context.model.network, part.rows.x))
    weight = np.ones(len(part)) if part.rows.weight is None else part.rows.weight
    chosen = _chosen(request.positive, classes)
    areas = [area_under_roc(part.rows.y == index, p[:, index], weight) for index in chosen]
    heavy = sorted(range(len(chosen)), key=lambda at: -weight[part.rows.y == chosen[at]].sum())[:_MOST_CURVES]
    curves = [
        {
            "class": classes[chosen[at]],
            "auc": areas[at],
            **_described(part.rows.y == chosen[at], p[:, chosen[at]], weight, request.points),
        }
        for at in sorted(heavy)
    ]
    return {
        **part.facts(),
        "weighted": part.rows.weight is not None,
        "axes": request.axes,
        "auc": float(np.mean(areas)),
        "aucs": [{"class": classes[index], "auc": area} for index, area in zip(chosen, areas, strict=True)],
        "curves": curves,
    }


def roc_curve(positive: NDArray[np.bool_], score: Floats, w: Floats) -> Curve:
    """Every distinct score as a threshold; rates are NaN where there is no weight of their kind."""
    true, false = ranked(positive, score, w)
    thresholds = np.unique(score)[::-1]
    with np.errstate(all="ignore"):
        return Curve(np.r_[0.0, false / false[-1]], np.r_[0.0, true / true[-1]], np.r_[math.inf, thresholds])


def _chosen(positive: Category | None, classes: list[Category]) -> list[int]:
    if positive is not None:
        return [classes.index(positive)]
    return [1] if len(classes) == 2 else list(range(len(classes)))


def _described(positive: NDArray[np.bool_], score: Floats, w: Floats, points: int) -> dict[str, Any]:
    curve = roc_curve(positive, score, w)
    shown = _thinned(curve, points)
    return {
        "positive_weight": float(w[positive].sum()),
        "negative_weight": float(w[~positive].sum()),
        "fpr": short(curve.fpr[shown], 7),
        "tpr": short(curve.tpr[shown], 7),
        "thresholds": short(curve.thresholds[shown], 7),
        "working_points": _working_points(curve),
    }


def _thinned(curve: Curve, points: int) -> NDArray[np.int64]:
    """Indices of at most so many points: corners first, then evenly along the curve, on its linear and log axes."""
    steps = np.c_[np.diff(curve.fpr), np.diff(curve.tpr)]
    # within a straight run all points but its ends say nothing
    turns = np.r_[True, steps[1:, 0] * steps[:-1, 1] != steps[1:, 1] * steps[:-1, 0], True]
    corners = np.flatnonzero(turns)
    if len(corners) <= points or not (np.isfinite(curve.fpr).all() and np.isfinite(curve.tpr).all()):
        return corners[:points]
    fpr, tpr = curve.fpr[corners], curve.tpr[corners]
    least = min(fpr[fpr > 0], default=1.0)
    decades = np.log10(np.maximum(fpr, least)) / max(1.0, -math.log10(least))
    way = np.r_[0.0, np.cumsum(np.abs(np.diff(fpr)) + np.abs(np.diff(tpr)) + np.abs(np.diff(decades)))]
    nearest = np.searchsorted(way, np.linspace(0, way[-1], points))
    return np.asarray(corners[np.unique(np.minimum(nearest, len(corners) - 1))])


def _working_points(curve: Curve) -> list[dict[str, float]]:
    """Where the curve first reaches each true positive rate: with signed weights it may come back."""
    points = []
    for tpr in _EFFICIENCIES:
        above = np.flatnonzero(curve.tpr >= tpr)
        if not len(above) or not above[0]:
            continue
        low, high = above[0] - 1, above[0]
        share = (tpr - curve.tpr[low]) / (curve.tpr[high] - curve.tpr[low])
        fpr = float(curve.fpr[low] + share * (curve.fpr[high] - curve.fpr[low]))
        inverse = 1 / fpr if fpr > 0 else math.inf
        points.append({"tpr": tpr, "fpr": fpr, "inverse": inverse, "threshold": float(curve.thresholds[high])})
    return points
