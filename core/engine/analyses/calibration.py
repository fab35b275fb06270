"""How often a class is right that is called with probability p."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.engine.analyses.context import Context, part_of
from core.engine.outputs import forward, probabilities
from core.spec.analyses import Calibration
from core.spec.dataset import Category

Floats = NDArray[np.float64]


def calibration(request: Calibration, context: Context) -> dict[str, Any]:
    """`bins` with mean probability, share that is right and weight; `ece`, the weighted mean of their differences.

    Guo et al. 2017 for the called class (`class` is then None), DeGroot and Fienberg 1983 for one class.
    """
    part = part_of(context, request.split)
    classes = list(context.model.classes or ())
    p = probabilities(forward(context.model.network, part.rows.x))
    weight = np.ones(len(part)) if part.rows.weight is None else part.rows.weight
    index = _looked_at(request.positive, classes)
    if index is None:
        p, right = p.max(1), p.argmax(1) == part.rows.y
    else:
        p, right = p[:, index], part.rows.y == index
    edges = bin_edges(p, request.bins, request.strategy)
    bins = reliability(p, right, weight, edges)
    total = float(weight.sum())
    place = _places(p, edges)
    gaps = np.abs(np.bincount(place, weights=weight * (right - p), minlength=request.bins))
    apart = [abs(each["right"] - each["probability"]) for each in bins if each["rows"]]
    return {
        **part.facts(),
        "weighted": part.rows.weight is not None,
        "class": None if index is None else classes[index],
        "strategy": request.strategy,
        "bins": bins,
        "ece": float(gaps.sum() / total) if total > 0 else None,
        "mce": max(apart, default=None),
        "brier": float(np.square(p - right) @ weight / total) if total > 0 else None,
        "mean_probability": float(p @ weight / total) if total > 0 else None,
        "mean_right": float(right @ weight / total) if total > 0 else None,
    }


def bin_edges(p: Floats, bins: int, strategy: str) -> Floats:
    """(bins + 1,) edges: from 0 to 1 in equal steps, or at the quantiles of `p`."""
    steps = np.linspace(0.0, 1.0, bins + 1)
    return steps if strategy == "uniform" else np.percentile(p, steps * 100)


def reliability(p: Floats, right: NDArray[np.bool_], w: Floats, edges: Floats) -> list[dict[str, Any]]:
    """One entry a bin; `deviation` is the binomial one of the share at the bin's effective number of rows."""
    place = _places(p, edges)
    bins: list[dict[str, Any]] = []
    for index in range(len(edges) - 1):
        here = place == index
        weight, squares = float(w[here].sum()), float(np.square(w[here]).sum())
        share = float(w[here] @ right[here] / weight) if weight else None
        bins.append(
            {
                "from": float(edges[index]),
                "to": float(edges[index + 1]),
                "rows": int(here.sum()) if weight else 0,
                "weight": weight,
                "probability": float(w[here] @ p[here] / weight) if weight else None,
                "right": share,
                "deviation": None if share is None else _deviation(share, squares / weight**2),
            }
        )
    return bins


def _places(p: Floats, edges: Floats) -> NDArray[np.int64]:
    """(N,) the bin of each row; an edge belongs to the bin below it."""
    return np.searchsorted(edges[1:-1], p)


def _deviation(share: float, per_row: float) -> float:
    return float(np.sqrt(max(0.0, share * (1 - share)) * per_row))


def _looked_at(positive: Category | None, classes: list[Category]) -> int | None:
    if positive is not None:
        return classes.index(positive)
    return 1 if len(classes) == 2 else None
