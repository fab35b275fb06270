"""Optimizers on the loss of one network: same first values, same batches in the same order, same dropout.

Their weights are points in a space of as many axes as there are parameters; the plane in which all paths spread most
(the first two principal components, Li et al. 2018) is what a picture shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.engine.assembling import assemble
from core.engine.assembly import Assembly
from core.engine.lab.names import entrant_names
from core.engine.optimizers import build_optimizer
from core.engine.rows import Batch
from core.engine.safe import short
from core.engine.seeds import derived_seed
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec
from core.spec.lab import Entrant, NetworkRace
from core.spec.schedules import lr_factor

POINTS = 60
GRID = 25
GRID_ROWS = 512
_MARGIN = 0.15
# of all positions together, for the plane
_PLANE_BYTES = 256 * 1024**2
_LEAST_POINTS = 5


@dataclass(frozen=True, slots=True)
class Training:
    """The resolved spec of the network with its data, which every optimizer of a race trains anew."""

    spec: JobSpec
    schema: DatasetSchema
    data_path: Path


@dataclass(slots=True)
class _Track:
    """What one optimizer leaves: the loss of each step's batch, and its weights at some steps."""

    losses: list[float]
    positions: list[Tensor]
    at: list[int]
    figures: dict[str, float]
    diverged: bool


def network_race(request: NetworkRace, training: Training) -> dict[str, Any]:
    """Loss of each step's batch by optimizer, figures at the end, paths and loss on their common plane."""
    a = assemble(training.spec, training.schema, training.data_path, torch.device("cpu"), torch.get_num_threads())
    first = {name: tensor.clone() for name, tensor in a.network.state_dict().items()}
    every = _every(request, a)
    tracks = []
    for entrant in request.optimizers:
        a.network.load_state_dict(first)
        a.step = 0
        # dropout draws the same for all
        torch.manual_seed(derived_seed(request.seed, "noise"))
        tracks.append(_run(a, entrant, request.steps, every))
    plane = _plane(a, tracks) if every else None
    paths = plane.pop("paths") if plane else [None] * len(tracks)
    names = entrant_names(request.optimizers)
    return {
        "mode": "network",
        "parameters": len(a.flat.values),
        "rows": len(a.train),
        "steps_per_epoch": a.batching.steps_per_epoch,
        "steps": request.steps,
        "optimizers": [_told(*each) for each in zip(names, request.optimizers, tracks, paths, strict=True)],
        "plane": plane,
        "non_finite": [name for name, track in zip(names, tracks, strict=True) if track.diverged],
    }


def _every(request: NetworkRace, a: Assembly) -> int | None:
    """How many steps lie between two remembered positions; None when there is no room for a plane."""
    if not request.plane:
        return None
    room = _PLANE_BYTES // (len(request.optimizers) * a.flat.values.nbytes)
    points = min(POINTS, request.steps, room)
    return math.ceil(request.steps / points) if points >= min(_LEAST_POINTS, request.steps) else None


def _batches(a: Assembly) -> Iterator[Batch]:
    """The batches of a run in its order, without end; `a.step` counts those that were used."""
    while True:
        order = a.order()
        for window in a.batching.windows(a.epoch, a.step_in_epoch):
            yield from window.take(a.train, order).batches(a.step_in_epoch)


def _run(a: Assembly, entrant: Entrant, steps: int, every: int | None) -> _Track:
    optimizer = build_optimizer(entrant.optimizer, a.flat)
    track = _Track([], [a.flat.values.clone()], [0], {}, diverged=False)
    peak, spe = entrant.optimizer.lr, a.batching.steps_per_epoch
    a.network.train()
    for batch, step in zip(_batches(a), range(steps), strict=False):
        seen: list[float] = []

        def evaluate(batch: Batch = batch, seen: list[float] = seen) -> tuple[Tensor, Tensor]:
            _, outputs = a.solo.gradients(a.step + 1, *batch)
            objective = a.learner.objective(a.learner.loss(outputs, *batch[1:]))
            seen.append(float(objective))
            return objective, outputs

        factor = lr_factor(entrant.schedule, step, total_steps=steps, steps_per_epoch=spe, peak_lr=peak)
        optimizer.step(evaluate, peak * factor, step + 1)
        a.step += 1
        track.diverged = not math.isfinite(seen[0]) or (a.step == steps and not a.is_finite())
        if track.diverged:
            # where it went would be all that a common plane shows
            del track.positions[1:], track.at[1:]
            break
        track.losses.append(seen[0])
        if every and (a.step % every == 0 or a.step == steps):
            _remember(track, a)
    if not track.diverged and a.validation is not None:
        track.figures = a.evaluate(a.validation, "validation")
    return track


def _remember(track: _Track, a: Assembly) -> None:
    if a.is_finite():
        track.positions.append(a.flat.values.clone())
        track.at.append(a.step)


def _told(name: str, entrant: Entrant, track: _Track, path: NDArray[Any] | None) -> dict[str, Any]:
    return {
        "name": name,
        "optimizer": entrant.optimizer.model_dump(mode="json"),
        "schedule": entrant.schedule.model_dump(mode="json"),
        "loss": track.losses,
        "final_loss": track.losses[-1] if track.losses else None,
        "least_loss": min(track.losses, default=None),
        "figures": track.figures,
        "path": None if path is None else short(path, 6),
        "path_steps": track.at,
        "diverged": track.diverged,
        "diverged_at": len(track.losses) + 1 if track.diverged else None,
    }


def _plane(a: Assembly, tracks: list[_Track]) -> dict[str, Any] | None:
    """Coordinates of all positions on the plane of their first two principal components, and the loss there."""
    x = torch.stack([position for track in tracks for position in track.positions]).double()
    if len(x) < 3:
        return None
    centre = x.mean(0)
    x -= centre
    # as many rows as points, not as parameters: the small matrix has the same components
    values, vectors = torch.linalg.eigh(x @ x.T)
    values, vectors = values.flip(0).clamp_min(0.0), vectors.flip(1)[:, :2]
    if float(values[1]) <= 1e-12 * float(values[0]):
        return None
    scale = values[:2].sqrt()
    coordinates = (vectors * scale).numpy()
    lengths = [len(track.positions) for track in tracks]
    directions = x.T @ (vectors / scale)
    return {
        "paths": np.split(coordinates, np.cumsum(lengths)[:-1]),
        "explained": (values[:2] / values.sum()).tolist(),
        "grid": _grid(a, centre, directions, coordinates),
    }


def _grid(a: Assembly, centre: Tensor, directions: Tensor, coordinates: NDArray[Any]) -> dict[str, Any] | None:
    """The training loss on the plane, in evaluation mode, over some rows.

    None where the network keeps running statistics: they belong to the weights that they were gathered with.
    """
    if any(name.endswith("running_mean") for name, _ in a.network.named_buffers()):
        return None
    low, high = coordinates.min(0), coordinates.max(0)
    margin = _MARGIN * np.maximum(high - low, 1e-12)
    xs, ys = (np.linspace(low[i] - margin[i], high[i] + margin[i], GRID) for i in range(2))
    x, target, weight = a.train.take(None, 0, min(GRID_ROWS, len(a.train)))
    a.network.eval()
    found = np.empty((GRID, GRID))
    with torch.no_grad():
        for row, y in enumerate(ys):
            for column, value in enumerate(xs):
                a.flat.values.copy_(centre + directions[:, 0] * value + directions[:, 1] * y)
                found[row, column] = float(a.learner.loss(a.network(x), target, weight))
    return {"x": short(xs), "y": short(ys), "loss": short(found), "rows": len(x)}
