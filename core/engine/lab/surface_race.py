"""Optimizers on a surface: the engine's own rules on a flat buffer of two numbers; what is seen is what trains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.engine.flat import FlatParameters
from core.engine.lab.names import entrant_names
from core.engine.optimizers import build_optimizer
from core.engine.safe import short
from core.engine.seeds import generator
from core.spec.lab import Entrant, SurfaceRace
from core.spec.schedules import lr_factor
from core.spec.surfaces import SURFACES, Point, Surface

# farther out no picture follows, and soon no number either
FAR = 1e6
GRID = 81
# come so far down from the start counts as arrived
ARRIVED = 1e-3


class _Position(nn.Module):
    """A network that is two numbers."""

    def __init__(self, start: Point) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.tensor(start, dtype=torch.float64))


def surface_race(request: SurfaceRace) -> dict[str, Any]:
    """Path and losses of each optimizer, (steps + 1) points with the start first, and the surface on a grid."""
    surface = SURFACES[request.surface]
    start = request.start or surface.start
    source = generator(request.seed, "lab/noise")
    noise = torch.zeros(request.steps, 2, dtype=torch.float64)
    if request.noise:
        noise.normal_(0.0, request.noise, generator=source)
    names = entrant_names(request.optimizers)
    runs = [
        {"name": name, **_run(entrant, surface, start, noise)}
        for name, entrant in zip(names, request.optimizers, strict=True)
    ]
    return {
        "mode": "surface",
        "surface": _described(request.surface, surface, start),
        "start": list(start),
        "steps": request.steps,
        "noise": request.noise,
        "optimizers": runs,
        "non_finite": [run["name"] for run in runs if run["diverged"]],
    }


def _run(entrant: Entrant, surface: Surface, start: Point, noise: Tensor) -> dict[str, Any]:
    flat = FlatParameters(_Position(start))
    optimizer = build_optimizer(entrant.optimizer, flat)
    path, losses = [list(start)], [surface.value(*start)]
    peak, steps = entrant.optimizer.lr, len(noise)
    diverged = False
    for step in range(steps):

        def evaluate(shaken: Tensor = noise[step]) -> tuple[Tensor, Tensor]:
            x, y = flat.values.tolist()
            flat.gradients.copy_(torch.tensor(surface.gradient(x, y), dtype=torch.float64)).add_(shaken)
            loss = torch.tensor(surface.value(x, y), dtype=torch.float64)
            return loss, loss

        factor = lr_factor(entrant.schedule, step, total_steps=steps, steps_per_epoch=1, peak_lr=peak)
        optimizer.step(evaluate, peak * factor, step + 1)
        x, y = flat.values.tolist()
        loss = surface.value(x, y)
        diverged = not (math.isfinite(loss) and max(abs(x), abs(y)) < FAR)
        if diverged:
            break
        path.append([x, y])
        losses.append(loss)
    return {
        "optimizer": entrant.optimizer.model_dump(mode="json"),
        "schedule": entrant.schedule.model_dump(mode="json"),
        "path": path,
        "loss": losses,
        **_outcome(surface, path, losses),
        "diverged": diverged,
        "diverged_at": len(path) if diverged else None,
    }


def _outcome(surface: Surface, path: Sequence[Sequence[float]], losses: Sequence[float]) -> dict[str, Any]:
    distances = [min(math.dist(point, minimum) for minimum in surface.minima) for point in path]
    near = surface.minimum + ARRIVED * (losses[0] - surface.minimum)
    return {
        "final_loss": losses[-1],
        "least_loss": min(losses),
        "distance": distances[-1],
        "least_distance": min(distances),
        "arrived_at": next((step for step, loss in enumerate(losses) if loss <= near), None),
    }


def _described(name: str, surface: Surface, start: Point) -> dict[str, Any]:
    """Formula, minima and a grid that holds the start, whatever part of the plane is usually shown."""
    x, y = (_reaching(low_high, value) for low_high, value in ((surface.x, start[0]), (surface.y, start[1])))
    xs, ys = np.linspace(*x, GRID), np.linspace(*y, GRID)
    loss = [[surface.value(float(a), float(b)) for a in xs] for b in ys]
    return {
        "name": name,
        "formula": surface.formula,
        "minima": [list(minimum) for minimum in surface.minima],
        "minimum": surface.minimum,
        "grid": {"x": short(xs), "y": short(ys), "loss": short(loss)},
    }


def _reaching(shown: Point, value: float) -> Point:
    low, high = min(shown[0], value), max(shown[1], value)
    margin = 0.05 * (high - low)
    return (low - margin if low < shown[0] else low, high + margin if high > shown[1] else high)
