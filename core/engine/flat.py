"""All parameters of a network in one buffer, all gradients in another: an optimizer's step is then a few
operations, however many layers there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


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
        self.places: list[Place] = []
        start = 0
        for name, parameter in ordered:
            self.places.append(Place(name, start, parameter.shape))
            start += parameter.numel()
        self.num_matrix_values = sum(parameter.numel() for _, parameter in named if parameter.ndim >= 2)
        self._parameters = [parameter for _, parameter in ordered]
        values = [parameter.detach().reshape(-1) for parameter in self._parameters]
        self.values = torch.cat(values) if values else torch.empty(0)
        self.gradients = torch.zeros_like(self.values)
        self._point()

    def move(self, values: Tensor, gradients: Tensor) -> None:
        """Makes these (P,) the buffers from here on; they hold what the buffers held."""
        self.values, self.gradients = values, gradients
        self._point()

    def _point(self) -> None:
        for parameter, place in zip(self._parameters, self.places, strict=True):
            end = place.start + place.shape.numel()
            parameter.data = self.values[place.start : end].view(place.shape)
            parameter.grad = self.gradients[place.start : end].view(place.shape)

    def matrices(self) -> list[tuple[int, torch.Size]]:
        """Start and shape of each weight of two axes or more."""
        return [(place.start, place.shape) for place in self.places if len(place.shape) >= 2]
