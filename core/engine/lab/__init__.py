"""Experiments that need no job: one function for each name in `core.spec.lab.EXPERIMENTS`."""

from __future__ import annotations

from typing import Any

import torch

from core.engine.lab.activations import activations
from core.engine.lab.first_values import first_values
from core.engine.lab.network_race import Training, network_race
from core.engine.lab.surface_race import surface_race
from core.engine.safe import json_safe
from core.spec.lab import EXPERIMENTS, ActivationLab, InitLab, SurfaceRace
from core.spec.lab_request import read_experiment

__all__ = ["EXPERIMENTS", "Training", "experiment"]


def experiment(kind: str, body: dict[str, Any], training: Training | None, *, threads: int = 1) -> dict[str, Any]:
    """The experiment's outcome as JSON-safe data that a picture can be drawn from; the same body gives the same data.

    `training` is what a race on a network needs. Raises Invalid for a body that was not checked before.
    """
    request = read_experiment(kind, body)
    torch.set_num_threads(threads)
    if isinstance(request, InitLab):
        found = first_values(request)
    elif isinstance(request, ActivationLab):
        found = activations(request)
    elif isinstance(request, SurfaceRace):
        found = surface_race(request)
    else:
        assert training is not None, "a race on a network needs data"
        found = network_race(request, training)
    data: dict[str, Any] = json_safe({"type": kind, **found})
    return data
