"""The loss around a checkpoint, along one or two directions in the space of its weights; Li et al. 2018."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.engine.analyses.context import Context, Part, part_of, refuse
from core.engine.analyses.directions import Direction, Way, random_direction, trajectory
from core.engine.analyses.objective import affordable_rows, plain_loss
from core.engine.trained import load_trained
from core.spec.analyses import LossLandscape

Floats = NDArray[np.float64]
_USUAL_ROWS = 1000


def loss_landscape(request: LossLandscape, context: Context) -> dict[str, Any]:
    """`loss[j][i]` at weights + x[i] d1 + y[j] d2 (one dimension: `loss[i]`), on the rows of the part.

    `centre` is the checkpoint: its loss is the plain one to the last bit. In evaluation mode: batch norm keeps its
    running statistics, dropout drops nothing. Along a trajectory the `path` has each checkpoint's place in the plane
    and its own loss, and `variance_explained` says how much of the way the plane shows.
    """
    network = context.model.network
    if not any(parameter.ndim >= 2 for parameter in network.parameters()):
        raise refuse(
            "/type", "no_weights", "received a network without weights, expected one with layers; do train one"
        )
    rows = affordable_rows(context, request.rows, _USUAL_ROWS, request.points**request.dimensions)
    part = part_of(context, request.split, rows, request.seed)
    way = None
    if request.directions == "trajectory":
        way = trajectory(network, context.way(), request.dimensions)
        directions = way.directions
        axes = [path_axis(along, request.points, request.span or 1.3) for along in way.coordinates.T]
    else:
        directions = [random_direction(network, request.seed, index) for index in range(request.dimensions)]
        axes = [even_axis(request.points, request.span or 1.0)] * request.dimensions
    losses = surface(network, directions, axes, lambda: plain_loss(network, part.loss, part.rows))
    centre = [int(np.flatnonzero(axis == 0)[0]) for axis in axes]
    return {
        **part.facts(),
        "loss_type": context.model.spec.loss.type,
        "directions": request.directions,
        "dimensions": request.dimensions,
        "x": axes[0],
        "y": axes[1] if request.dimensions == 2 else None,
        "loss": losses,
        "centre": {
            "x": centre[0],
            "y": centre[1] if request.dimensions == 2 else None,
            "loss": losses[tuple(reversed(centre))],
            "step": context.model.meta.get("step"),
            "epoch": context.model.meta.get("epoch"),
        },
        "cosine": _cosine(directions) if request.dimensions == 2 else None,
        "variance_explained": way and way.variance_explained,
        "path": way and _path(way, part),
    }


def surface(network: nn.Module, directions: list[Direction], axes: list[Floats], loss: Any) -> Floats:
    """(len(y), len(x)) or (len(x),): `loss()` with the weights moved; they are back bit for bit at the end."""
    values = np.empty([len(axis) for axis in reversed(axes)])
    with restored(network) as start, torch.no_grad():
        for where in itertools.product(*(range(len(axis)) for axis in reversed(axes))):
            amounts = [float(axis[at]) for axis, at in zip(axes, reversed(where), strict=True)]
            for index, parameter in enumerate(network.parameters()):
                moved = start[index]
                for direction, amount in zip(directions, amounts, strict=True):
                    moved = moved + amount * direction[index] if amount else moved
                parameter.copy_(moved)
            values[where] = loss()
    return values


@contextmanager
def restored(network: nn.Module) -> Iterator[list[torch.Tensor]]:
    """The parameters' values, which are put back whatever happens."""
    start = [parameter.detach().clone() for parameter in network.parameters()]
    try:
        yield start
    finally:
        with torch.no_grad():
            for parameter, value in zip(network.parameters(), start, strict=True):
                parameter.copy_(value)


def even_axis(points: int, span: float) -> Floats:
    """From -span to span; the middle one is 0 exactly."""
    half = points // 2
    return np.arange(-half, half + 1, dtype=np.float64) * (span / half)


def path_axis(along: Floats, points: int, span: float) -> Floats:
    """Even steps over the extent of a path widened `span` times, shifted so that one point is 0, the checkpoint."""
    low, high = min(0.0, float(along.min())), max(0.0, float(along.max()))
    extent = high - low or 1.0
    middle, width = (low + high) / 2, extent * max(span, 1.0)
    # one step more than the width needs: room for the shift
    step = width / (points - 2)
    before = math.ceil((width / 2 - middle) / step - 1e-9)
    return np.arange(-before, points - before, dtype=np.float64) * step


def _path(way: Way, part: Part) -> list[dict[str, Any]]:
    """Where each checkpoint stands and what its own loss is, its running statistics among what is its own."""
    points = []
    for place, step, content in zip(way.coordinates, way.steps, way.contents, strict=True):
        model = load_trained(content)
        points.append(
            {
                "step": step,
                "epoch": model.meta.get("epoch"),
                "x": place[0],
                "y": place[1] if len(place) > 1 else None,
                "loss": plain_loss(model.network, part.loss, part.rows),
            }
        )
    return points


def _cosine(directions: list[Direction]) -> float:
    """Of the angle between the two: in many dimensions random ones are nearly at right angles."""
    one, other = (torch.cat([each.double().reshape(-1) for each in direction]) for direction in directions)
    return float(one @ other / (one.norm() * other.norm()).clamp_min(1e-300))
