"""PyTorch's modules for (channels, length), made to read (time, features); weights and their names stay."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from core.spec.base import Shape
from core.spec.layer_base import LayerBase


class _OverTime:
    def forward(self, x: Tensor) -> Tensor:
        """(N, T, F) in and out."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)  # type: ignore[misc,no-any-return]  # a mixin before a module


def oriented(kind: type[nn.Module], layer: LayerBase, shape: Shape) -> Any:
    """The class of PyTorch's that the layer is, for the order of axes that it has."""
    return kind if layer.in_channels_first(shape) else type(f"OverTime{kind.__name__}", (_OverTime, kind), {})
