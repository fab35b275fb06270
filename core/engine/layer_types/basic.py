"""Linear layers, the shape of a sample and dropout as PyTorch modules."""

from __future__ import annotations

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


BUILDERS: dict[str, Builder] = {
    "linear": _linear,
    "flatten": lambda _layer, _shape: nn.Flatten(),
    "unflatten": _unflatten,
    "permute": lambda layer, _shape: Permute(layer.axes),
    "dropout": lambda layer, _shape: nn.Dropout(layer.p),
}
