"""Blocks as PyTorch modules; the layers within carry their path as their name: `3.layers.1.weight`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from core.spec.base import Shape
from core.spec.layer_base import LayerBase
from core.spec.layer_types import blocks

Build = Callable[[LayerBase, Shape], nn.Module]


class Residual(nn.Module):
    """activation(layers(x) + shortcut(x))."""

    def __init__(self, layers: nn.Module, shortcut: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.shortcut = shortcut
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways, bent when an activation is asked for."""
        return self.activation(self.layers(x) + self.shortcut(x))  # type: ignore[no-any-return]  # modules answer Any


class Concat(nn.Module):
    """The outputs of all branches side by side along `axis`, the batch counted."""

    def __init__(self, branches: Sequence[nn.Module], axis: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...)."""
        return torch.cat([branch(x) for branch in self.branches], self.axis)


class Sum(nn.Module):
    """The sum of the outputs of all branches."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...)."""
        first, *others = [branch(x) for branch in self.branches]
        for other in others:
            first = first + other
        return first  # type: ignore[no-any-return]  # modules answer Any


def residual(layer: blocks.Residual, shape: Shape, build: Build) -> nn.Module:
    """The block with every part of it built by `build`."""
    parts = {part.path: build(part.layer, part.shape) for part in layer.parts(shape)}
    nothing = nn.Identity()
    return Residual(_under(parts, "layers"), parts.get("shortcut", nothing), parts.get("activation", nothing))


def parallel(layer: blocks.Parallel, shape: Shape, build: Build) -> nn.Module:
    """The block with every part of it built by `build`."""
    parts = {part.path: build(part.layer, part.shape) for part in layer.parts(shape)}
    branches = [_under(parts, f"branches/{index}") for index in range(len(layer.branches))]
    if layer.combine == "sum":
        return Sum(branches)
    return Concat(branches, layer.axis(layer.output_shape(shape)) + 1)


def _under(parts: dict[str, nn.Module], path: str) -> nn.Sequential:
    return nn.Sequential(*(module for name, module in parts.items() if name.rpartition("/")[0] == path))
