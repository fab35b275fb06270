"""Inputs beside what a network makes of them, and how large its errors are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.original import original
from core.engine.analyses.context import Context, part_of, rng
from core.engine.analyses.labels import Labels, labels_of
from core.engine.outputs import forward, numbers
from core.engine.safe import short
from core.spec.analyses import Reconstructions
from core.spec.base import Shape

Floats = NDArray[np.float64]
_MOST_VALUES = 200_000


def reconstructions(request: Reconstructions, context: Context) -> dict[str, Any]:
    """`examples` with input, reconstruction (in the inputs' own units, of one sample's `shape`) and error each.

    The error is the row's loss in the network's scale, the anomaly score of a prediction. `histogram` has its counts
    over shared `edges`, `by_class` those of each class where rows have a label.
    """
    part = part_of(context, request.split, request.rows, request.seed)
    model, x = context.model, part.rows.x
    outputs = forward(model.network, x)
    made = numbers(outputs, model.spec.loss).reshape(x.shape)
    errors = model.errors(outputs, x)
    shape = model.input_shape
    labels = labels_of(context, part)
    chosen = _chosen(request, shape, errors)
    before, after = (original(values[chosen], model.preparation) for values in (x.numpy(), made))
    return {
        **part.facts(),
        "shape": shape,
        "kind": kind_of(shape),
        "feature_names": list(model.preparation.feature_names)[:500] if len(shape) == 1 else None,
        "label": labels.name,
        "classes": labels.classes,
        "error": {
            "mean": errors.mean(),
            "median": np.median(errors),
            "deviation": errors.std(),
            "quantiles": {str(q): np.quantile(errors, q) for q in (0.05, 0.25, 0.75, 0.95, 0.99)},
        },
        "examples": [
            {
                "row": int(part.numbers[place]),
                "error": errors[place],
                "class": None if labels.index is None else labels.index[place],
                "input": short(before[at]),
                "reconstruction": short(after[at]),
            }
            for at, place in enumerate(chosen)
        ],
        "histogram": _histogram(errors, labels, request.bins),
    }


def kind_of(shape: Shape) -> str:
    """What a sample is: an image (C, H, W), a sequence (T, F) or a flat row."""
    return {3: "image", 2: "sequence"}.get(len(shape), "row")


def _chosen(request: Reconstructions, shape: Shape, errors: Floats) -> NDArray[np.int64]:
    """Row numbers: some at random in their order, or the best half and then the worst half."""
    most = max(1, min(request.examples, len(errors), _MOST_VALUES // (2 * int(np.prod(shape)))))
    if request.pick == "random" or (request.pick == "auto" and len(shape) > 1):
        return np.sort(rng(request.seed, "examples").permutation(len(errors))[:most])
    order = np.argsort(errors, kind="stable")
    best = most // 2
    return np.asarray(np.r_[order[:best], order[len(order) - (most - best) :]])


def _histogram(errors: Floats, labels: Labels, bins: int) -> dict[str, Any]:
    finite = errors[np.isfinite(errors)]
    # a few huge errors would put all others into one bin: the last one holds what lies beyond
    top = float(np.quantile(finite, 0.995)) if len(finite) else 1.0
    edges = np.linspace(0.0, top or 1.0, bins + 1)
    held = np.minimum(finite, edges[-1])
    by_class = None
    if labels.index is not None and labels.classes is not None:
        known = labels.index[np.isfinite(errors)]
        by_class = [
            {
                "class": name,
                "counts": np.histogram(held[known == index], edges)[0],
                "mean": _mean(finite[known == index]),
            }
            for index, name in enumerate(labels.classes)
        ]
    return {"edges": edges, "counts": np.histogram(held, edges)[0], "by_class": by_class}


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
