"""All parameters of a network in one buffer, all gradients in another: an optimizer's step is then a few
operations, however many layers there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Place:
    """Where one parameter lies in the buffers."""

    name: str
    start: int
    shape: torch.Size


class FlatParameters:
    """The parameters of `network`, which become views of `values`; backward adds to views of `gradients`.

    Matrices (two axes or more) come first, biases, norms and learnt constants after them: what concerns the
    weights proper (penalties, Muon) is one slice.
    """

    def __init__(self, network: nn.Module) -> None:
        named = list(network.named_parameters())
        ordered = [pair for pair in named if pair[1].ndim >= 2] + [pair for pair in named if pair[1].ndim < 2]
        size = sum(parameter.numel() for _, parameter in ordered)
        example = ordered[0][1] if ordered else torch.empty(0)
        self.values = torch.empty(size, dtype=example.dtype, device=example.device)
        self.gradients = torch.zeros_like(self.values)
        self.places: list[Place] = []
        start = 0
        for name, parameter in ordered:
            end = start + parameter.numel()
            self.values[start:end] = parameter.detach().reshape(-1)
            parameter.data = self.values[start:end].view(parameter.shape)
            parameter.grad = self.gradients[start:end].view(parameter.shape)
            self.places.append(Place(name, start, parameter.shape))
            start = end
        self.num_matrix_values = sum(parameter.numel() for _, parameter in named if parameter.ndim >= 2)

    def matrices(self) -> list[tuple[int, torch.Size]]:
        """Start and shape of each weight of two axes or more."""
        return [(place.start, place.shape) for place in self.places if len(place.shape) >= 2]
