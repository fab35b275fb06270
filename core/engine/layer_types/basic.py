"""Linear layers, the shape of a sample and dropout as PyTorch modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.engine.layer_types.builder import Builder
from core.spec.base import Shape
from core.spec.layer_types import basic


def _linear(layer: basic.Linear, shape: Shape) -> nn.Module:
    return nn.Linear(shape[-1], layer.units, bias=layer.bias)


def _unflatten(layer: basic.Unflatten, shape: Shape) -> nn.Module:
    unflatten = nn.Unflatten(1, layer.shape)
    return unflatten if len(shape) == 1 else nn.Sequential(nn.Flatten(), unflatten)


class Permute(nn.Module):
    """The axes of each sample in another order."""

    def __init__(self, axes: tuple[int, ...]) -> None:
        super().__init__()
        self._order = (0, *(axis + 1 for axis in axes))

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...)."""
        return x.permute(self._order)


class Select(nn.Module):
    """Some places along an axis, the batch counted."""

    indices: Tensor

    def __init__(self, indices: tuple[int, ...], axis: int) -> None:
        super().__init__()
        self.register_buffer("indices", torch.tensor(indices), persistent=False)
        self._axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...)."""
        return x.index_select(self._axis, self.indices)


BUILDERS: dict[str, Builder] = {
    "linear": _linear,
    "flatten": lambda _layer, _shape: nn.Flatten(),
    "unflatten": _unflatten,
    "permute": lambda layer, _shape: Permute(layer.axes),
    "select": lambda layer, shape: Select(layer.indices, layer.axis(shape) + 1),
    "dropout": lambda layer, _shape: nn.Dropout(layer.p),
}
