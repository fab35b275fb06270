"""Directions in the space of a network's weights: random ones by filter, or those that training went.

Legend: P weights in all, K checkpoints; a direction is one tensor for each parameter, in the network's order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.engine.analyses.context import refuse
from core.engine.analyses.pca import principal_components
from core.engine.checkpoint import read_tensors
from core.engine.seeds import generator

Direction = list[Tensor]
_MOST_CHECKPOINTS = 200
_MOST_VALUES = 100_000_000


@dataclass(frozen=True, slots=True)
class Way:
    """The way of training: `coordinates` (K, D) of each checkpoint seen from the centre, along unit directions."""

    directions: list[Direction]
    coordinates: NDArray[np.float64]
    variance_explained: list[float]
    steps: list[int]
    contents: list[Path]


def random_direction(network: nn.Module, seed: int, index: int) -> Direction:
    """A normal direction in which each filter has the length of the network's own; Li et al. 2018, section 4.

    A filter is what makes one output: a row of a matrix, a kernel of a convolution. Biases and norms stand still.
    """
    source = generator(seed, "analysis/direction", index)
    direction = []
    for parameter in network.parameters():
        if parameter.ndim < 2:
            direction.append(torch.zeros_like(parameter))
            continue
        drawn = torch.randn(parameter.shape, generator=source, dtype=torch.float64)
        lengths = drawn.flatten(1).norm(dim=1).clamp_min(1e-300)
        scale = parameter.detach().double().flatten(1).norm(dim=1) / lengths
        direction.append((drawn * scale.view(-1, *[1] * (drawn.ndim - 1))).to(parameter.dtype))
    return direction


def trajectory(network: nn.Module, contents: tuple[Path, ...], dimensions: int) -> Way:
    """The principal components of the kept checkpoints' weights, and where each of them stands."""
    names = [name for name, _ in network.named_parameters()]
    size = sum(parameter.numel() for parameter in network.parameters())
    most = max(dimensions + 1, min(_MOST_CHECKPOINTS, _MOST_VALUES // max(1, size)))
    if len(contents) > most:
        contents = tuple(contents[at] for at in np.unique(np.linspace(0, len(contents) - 1, most).round().astype(int)))
    if len(contents) < dimensions + 1:
        raise refuse(
            "/directions",
            "too_few_checkpoints",
            f"received trajectory for a job with {len(contents)} kept checkpoint(s), expected at least "
            f"{dimensions + 1}; do train with checkpoints.keep_last of some dozens, or ask for random directions",
        )
    centre = _flat([parameter.detach() for parameter in network.parameters()])
    weights = np.empty((len(contents), size))
    steps = []
    for row, path in enumerate(contents):
        tensors, meta = read_tensors(path)
        weights[row] = _flat([tensors[name] for name in names])
        steps.append(int(meta["step"]))
    axes, explained = _principal(weights, dimensions)
    return Way(
        directions=[_shaped(axis, network) for axis in axes],
        coordinates=(weights - centre) @ axes.T,
        variance_explained=explained,
        steps=steps,
        contents=list(contents),
    )


def _principal(weights: NDArray[np.float64], dimensions: int) -> tuple[NDArray[np.float64], list[float]]:
    """(D, P) unit vectors and their shares of the variance; Invalid where the weights moved along fewer of them."""
    found = principal_components(weights, dimensions)
    if len(found.axes) < dimensions or found.variance_explained[-1] <= 1e-12:
        raise refuse(
            "/directions",
            "no_movement",
            f"received trajectory for checkpoints that lie in fewer than {dimensions} direction(s), expected weights "
            "that moved; do ask for random directions",
        )
    return found.axes, found.variance_explained


def _flat(tensors: list[Tensor]) -> NDArray[np.float64]:
    parts: list[NDArray[Any]] = [tensor.double().reshape(-1).numpy() for tensor in tensors]
    return np.concatenate(parts) if parts else np.empty(0)


def _shaped(axis: NDArray[np.float64], network: nn.Module) -> Direction:
    direction, start = [], 0
    for parameter in network.parameters():
        end = start + parameter.numel()
        direction.append(torch.from_numpy(axis[start:end]).to(parameter.dtype).view(parameter.shape))
        start = end
    return direction
