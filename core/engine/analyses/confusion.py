"""Which class is called which."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.engine.analyses.context import Context, part_of
from core.engine.metrics import confusion_matrix
from core.engine.outputs import forward, probabilities
from core.spec.analyses import Confusion

Floats = NDArray[np.float64]


def confusion(request: Confusion, context: Context) -> dict[str, Any]:
    """`weights[i][j]`, the event weight of rows of class i called class j, and `rates` as the request normalises them.

    `counts` are the rows themselves; precision and recall are those of each class.
    """
    part = part_of(context, request.split)
    classes = list(context.model.classes or ())
    called = probabilities(forward(context.model.network, part.rows.x)).argmax(1)
    truth = part.rows.y.astype(np.int64)
    weight = np.ones(len(truth)) if part.rows.weight is None else part.rows.weight
    counts = confusion_matrix(truth, called, np.ones(len(truth)), len(classes))
    weights = confusion_matrix(truth, called, weight, len(classes))
    hit = np.diag(weights)
    shown, others = _heaviest(weights, request.classes)
    return {
        **part.facts(),
        "weighted": part.rows.weight is not None,
        "classes": [classes[index] for index in shown] + ([f"{len(others)} others"] if len(others) else []),
        "merged": [classes[index] for index in others],
        "counts": _merged(counts, shown, others).astype(np.int64),
        "weights": _merged(weights, shown, others),
        "normalize": request.normalize,
        "rates": rates(_merged(weights, shown, others), request.normalize),
        "accuracy": _share(hit.sum(), weights.sum()),
        "precision": _share(hit, weights.sum(0))[shown],
        "recall": _share(hit, weights.sum(1))[shown],
    }


def rates(weights: Floats, normalize: str) -> Floats:
    """(C, C) shares; NaN where a class has no weight."""
    total = {
        "true": weights.sum(1, keepdims=True),
        "predicted": weights.sum(0, keepdims=True),
        "all": weights.sum(keepdims=True),
        "none": np.ones((1, 1)),
    }[normalize]
    return _share(weights, np.broadcast_to(total, weights.shape))


def _share(part: Any, whole: Any) -> Floats:
    with np.errstate(all="ignore"):
        return np.where(np.asarray(whole) != 0, np.divide(part, whole), np.nan)


def _heaviest(weights: Floats, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The classes to show, in their order, and those to add up."""
    if len(weights) <= most:
        return np.arange(len(weights)), np.arange(0)
    order = np.argsort(-np.abs(weights.sum(1)), kind="stable")
    return np.sort(order[: most - 1]), np.sort(order[most - 1 :])


def _merged(matrix: Floats, shown: NDArray[np.int64], others: NDArray[np.int64]) -> Floats:
    if not len(others):
        return matrix
    rows = np.vstack([matrix[shown], matrix[others].sum(0)])
    return np.hstack([rows[:, shown], rows[:, others].sum(1, keepdims=True)])
