"""The gradients of a stack of networks of one architecture, each with its own weights, rows, masks and loss factors."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from core.engine.flat import FlatParameters
from core.engine.losses import Loss
from core.engine.steps.blocks import apart
from core.engine.steps.kernels import Kernel, Parameter
from core.engine.steps.masks import Masks, StackedMasks
from core.engine.steps.table import KERNELS, Site, gives_away


class Onlooker(Protocol):
    """Who sees one network's pass from within."""

    def begin_pass(self, rows: int) -> None:
        """A pass of so many rows begins."""

    def output(self, layer: int, y: Tensor) -> None:
        """What came out of a layer, (N, ...); the next layer may write over it."""

    def signal(self, layer: int, g: Tensor) -> None:
        """The gradient with respect to that, likewise."""


Onlookers = Sequence[Onlooker | None]
"""Of each network of a stack, or none at all."""


@dataclass(frozen=True, slots=True)
class Part:
    """One network of a stack. `largest_batch` is the number of rows of its largest batch."""

    network: nn.Sequential
    flat: FlatParameters
    loss: Loss
    seed: int
    largest_batch: int


def is_stackable(network: nn.Sequential, sample: Sequence[int]) -> bool:
    """Whether every layer has a kernel, samples having one axis or being flattened at once; and something learns."""
    layers = list(network)
    flat = len(sample) == 1 or (bool(layers) and isinstance(layers[0], nn.Flatten))
    return flat and all(type(layer) in KERNELS for layer in layers) and any(isinstance(e, nn.Linear) for e in layers)


def likeness(part: Part) -> Hashable:
    """Equal for networks that can stand in one stack: all that kernels read of one of them for all."""
    layers = tuple("dropout" if isinstance(layer, nn.Dropout) else repr(layer) for layer in part.network)
    places = tuple((place.name, place.start, tuple(place.shape)) for place in part.flat.places)
    return layers, places, part.loss.told, part.flat.values.dtype, part.flat.values.device, part.largest_batch


class Stack:
    """M networks that are alike (`likeness`), their parameters rows of one buffer and their gradients of another."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._loss = parts[0].loss
        self._steps: Sequence[int] = (0,) * len(parts)
        self.masks: list[StackedMasks] = []
        """Those of each dropout layer."""
        self._rows = parts[0].largest_batch
        self._values, self._gradients = _one_buffer(parts)
        self._stand_at = [part.flat.values for part in parts]
        self._mean_weights = _mean_weights(parts)
        self._equal_factors: dict[int, Tensor] = {}
        """By number of rows: PyTorch takes a number as a tensor in half the time."""
        self._kernels: list[Kernel] = []
        for index in range(len(parts[0].network)):
            self._kernels.append(self._kernel(index))
        learning = [index for index, layer in enumerate(parts[0].network.children()) if list(layer.parameters())]
        self._backward = list(enumerate(self._kernels))[: learning[0] - 1 if learning[0] else None : -1]

    def holds(self, parts: Sequence[Part]) -> bool:
        """Whether it is made of these parts, in this order, and none of them has moved since."""
        pairs = zip(parts, self._parts, self._stand_at, strict=False)
        return len(parts) == len(self._parts) and all(a is b and a.flat.values is at for a, b, at in pairs)

    def buffers(self) -> list[Tensor]:
        """What a forward pass moves: running moments of norms."""
        return [buffer for part in self._parts for buffer in part.network.buffers()]

    def gradients(
        self, x: Tensor, target: Tensor, weight: Tensor | None, steps: Sequence[int], onlookers: Onlookers = ()
    ) -> Tensor:
        """The outputs (M, N, O) for x (M, N, *sample), target (M, N, ...), weight (M, N) or None.

        The gradients of each network's own objective stand in its `flat.gradients` afterwards. `steps` are the numbers
        of the step of each, by which its masks are drawn.
        """
        self._steps = steps
        if onlookers:
            return self._shown(x, target, weight, onlookers)
        for kernel in self._kernels:
            x = kernel.forward(x)
        g = self._of_outputs(x, target, weight)
        for _, kernel in self._backward:
            g = kernel.backward(g)
        return x

    def outputs(self, x: Tensor) -> Tensor:
        """The outputs (M, N, O) in evaluation mode for x (M, N, *sample); nothing of the networks moves."""
        for kernel in self._kernels:
            x = kernel.infer(x)
        return x

    def _shown(self, x: Tensor, target: Tensor, weight: Tensor | None, onlookers: Onlookers) -> Tensor:
        """The same, what passes between the layers being shown to those who look on."""
        for onlooker, rows in _seen_by(onlookers, x):
            onlooker.begin_pass(len(rows))
        for layer, kernel in enumerate(self._kernels):
            x = kernel.forward(x)
            for onlooker, y in _seen_by(onlookers, x):
                onlooker.output(layer, y)
        g = self._of_outputs(x, target, weight)
        for layer, kernel in self._backward:
            for onlooker, signal in _seen_by(onlookers, g):
                onlooker.signal(layer, signal)
            g = kernel.backward(g)
        return x

    def _of_outputs(self, z: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """(M, N, O) the gradient of the objectives with respect to the outputs z."""
        return self._loss.slope(z, target).mul_(self._row_factors(z.shape[1], weight))

    def _row_factors(self, rows: int, weight: Tensor | None) -> Tensor:
        """What a row's loss counts in its network's objective: (M, N, 1), or () where all count alike."""
        is_mean = self._loss.reduction == "mean"
        if weight is None:
            if rows not in self._equal_factors:
                self._equal_factors[rows] = self._values.new_tensor(1 / rows if is_mean else 1.0)
            return self._equal_factors[rows]
        if not is_mean:
            return weight.unsqueeze(2)
        total = weight.sum(1, keepdim=True).clamp_min(1e-30)
        if self._mean_weights is not None:
            total = torch.where(self._mean_weights.isnan(), total, rows * self._mean_weights)
        return (weight / total).unsqueeze(2)

    def _kernel(self, layer: int) -> Kernel:
        modules = [part.network[layer] for part in self._parts]
        site = Site(
            modules,
            self._parameters(layer),
            self._drawing(layer),
            is_first=not any(list(before.parameters()) for before in self._parts[0].network[:layer].children()),
            may_overwrite=bool(self._kernels) and gives_away(self._kernels[-1]),
        )
        return KERNELS[type(modules[0])](site)

    def _parameters(self, layer: int) -> dict[str, Parameter]:
        """By name what a layer learns."""
        found: dict[str, Parameter] = {}
        for place in self._parts[0].flat.places:
            of, _, name = place.name.partition(".")
            if int(of) == layer:
                columns = slice(place.start, place.start + place.shape.numel())
                shape = (len(self._parts), *place.shape)
                found[name] = self._values[:, columns].view(shape), self._gradients[:, columns].view(shape)
        return found

    def _drawing(self, layer: int) -> Callable[[Tensor], Tensor]:
        """What makes the masks of a dropout layer for the steps under way."""
        rates = [getattr(part.network[layer], "p", None) for part in self._parts]
        each = [Masks(part.seed, layer, p) for part, p in zip(self._parts, rates, strict=True) if p is not None]
        stacked = StackedMasks(each, self._rows)
        if each:
            self.masks.append(stacked)
        return lambda x: stacked.of(x, self._steps)


def _seen_by(onlookers: Onlookers, x: Tensor) -> Iterable[tuple[Onlooker, Tensor]]:
    """Those who look on, each with its network's part of x (M, ...)."""
    return [(onlooker, own) for onlooker, own in zip(onlookers, x, strict=True) if onlooker is not None]


def _one_buffer(parts: Sequence[Part]) -> tuple[Tensor, Tensor]:
    """(M, P) parameters and (M, P) gradients of all, of which each network's own become rows."""
    if len(parts) == 1:
        flat = parts[0].flat
        return flat.values.unsqueeze(0), flat.gradients.unsqueeze(0)
    values, gradients = (
        apart(torch.stack(buffers))
        for buffers in ([part.flat.values for part in parts], [part.flat.gradients for part in parts])
    )
    for part, row, room in zip(parts, values, gradients, strict=True):
        part.flat.move(row, room)
    return values, gradients


def _mean_weights(parts: Sequence[Part]) -> Tensor | None:
    """(M, 1) what negative weights are on average, NaN for a network whose weights are not negative."""
    means = [part.loss.mean_weight for part in parts]
    if not any(mean is not None for mean in means):
        return None
    return parts[0].flat.values.new_tensor([math.nan if mean is None else mean for mean in means]).unsqueeze(1)
