"""Linear layers, the shape of a sample and dropout as PyTorch modules."""

from __future__ import annotations

from torch import nn

from core.engine.layer_types.builder import Builder
from core.spec.base import Shape
from core.spec.layer_types import basic


def _linear(layer: basic.Linear, shape: Shape) -> nn.Module:
    return nn.Linear(shape[-1], layer.units, bias=layer.bias)


def _unflatten(layer: basic.Unflatten, shape: Shape) -> nn.Module:
    unflatten = nn.Unflatten(1, layer.shape)
    return unflatten if len(shape) == 1 else nn.Sequential(nn.Flatten(), unflatten)


BUILDERS: dict[str, Builder] = {
    "linear": _linear,
    "flatten": lambda _layer, _shape: nn.Flatten(),
    "unflatten": _unflatten,
    "dropout": lambda layer, _shape: nn.Dropout(layer.p),
}
