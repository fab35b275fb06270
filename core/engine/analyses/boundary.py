"""What a network answers over a plane or a line of its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.engine.analyses.context import Context, Part, part_of
from core.engine.analyses.objective import check_cost
from core.engine.analyses.plane import plane_of
from core.engine.outputs import forward, numbers, probabilities
from core.engine.safe import short
from core.spec.analyses import DecisionBoundary

Floats = NDArray[np.float64]
_AT_ONCE = 5000
_MOST_LINES = 10


def decision_boundary(request: DecisionBoundary, context: Context) -> dict[str, Any]:
    """`x`, `y` axes in the features' own units (principal components: in the network's), and over them a grid.

    Classes: `called[j][i]` index of the class and `probability[j][i]`, of two classes that of the second one, else that
    of the called one. Regression: `value`, the first target in its unit. Reconstruction: `value`, the error. One
    feature: `x` alone, and of classes `probabilities`, a line each. `points` are rows of the part.
    """
    check_cost(context, request.points**2, "/points", "lower points")
    part = part_of(context, request.split, request.rows, request.seed)
    plane = plane_of(request, context, part)
    shape = tuple(len(axis) for axis in reversed(plane.axes))
    answers = _answers(context, plane.places(), plane.inputs)
    classes = None if context.model.classes is None else list(context.model.classes)
    return {
        **part.facts(),
        "dimensions": len(plane.axes),
        "plane": plane.kind,
        "features": plane.names,
        "held": plane.held,
        "variance_explained": plane.variance_explained,
        "classes": classes,
        "target": (context.spec.data.targets or (None,))[0],
        "x": short(plane.axes[0]),
        "y": short(plane.axes[1]) if len(plane.axes) == 2 else None,
        **(_of_classes(answers, shape) if classes else {"value": short(answers).reshape(shape)}),
        "points": {
            "x": short(plane.rows[:, 0]),
            "y": short(plane.rows[:, 1]) if len(plane.axes) == 2 else None,
            **_told(context, part),
        },
    }


def _answers(context: Context, places: Floats, inputs: Any) -> Floats:
    """(G, C) probabilities, or (G,) numbers."""
    parts = []
    for start in range(0, len(places), _AT_ONCE):
        x = inputs(places[start : start + _AT_ONCE])
        parts.append(answer(context, x))
    return np.concatenate(parts)


def answer(context: Context, x: NDArray[Any]) -> Floats:
    """(N, C) probabilities; (N,) the first target in its unit, or the error of a reconstruction."""
    model = context.model
    z = forward(model.network, torch.from_numpy(x))
    if model.classes is not None:
        return probabilities(z)
    values = numbers(z, model.spec.loss)
    if model.spec.task == "reconstruction":
        return np.asarray(np.square(values - x).reshape(len(x), -1).mean(1))
    return np.asarray(model.preparation.unscale_target(values).reshape(len(x), -1)[:, 0])


def _of_classes(p: Floats, shape: tuple[int, ...]) -> dict[str, Any]:
    if len(shape) == 1:
        return {"called": p.argmax(1), "probabilities": short(p[:, :_MOST_LINES].T, 4)}
    shown = p[:, 1] if p.shape[1] == 2 else p.max(1)
    return {"called": p.argmax(1).reshape(shape), "probability": short(shown, 4).reshape(shape)}


def _told(context: Context, part: Part) -> dict[str, Any]:
    """What is known of the rows: class numbers, or the first target."""
    task = context.model.spec.task
    if task == "classification":
        return {"class": part.rows.y}
    if task == "regression":
        values = context.model.preparation.unscale_target(part.rows.y.astype(np.float64))
        return {"value": short(values.reshape(len(part), -1)[:, 0])}
    return {"value": short(answer(context, part.rows.x.numpy()))}
