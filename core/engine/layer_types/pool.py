"""Pooling as PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from core.engine.layer_types.builder import Builder
from core.engine.layer_types.over_time import oriented
from core.spec.base import Shape
from core.spec.layer_types import pool

_Reduce = Callable[[Tensor, int], Tensor]


class AdaptivePool(nn.Module):
    """Windows floor(i n/m) to ceil((i+1) n/m) axis by axis, from slices alone, so that it goes into any graph."""

    def __init__(self, space: Shape, sizes: Shape, reduce: _Reduce) -> None:
        super().__init__()
        self._edges = [
            [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)] for n, m in zip(space, sizes, strict=True)
        ]
        self._reduce = reduce

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *space) to (N, C, *sizes)."""
        for axis, edges in enumerate(self._edges, start=2):
            x = torch.stack([self._reduce(x.narrow(axis, a, b - a), axis) for a, b in edges], axis)
        return x


class GlobalPool(nn.Module):
    """(N, ...) to (N, C): one value over the given axes."""

    def __init__(self, axes: tuple[int, ...], reduce: Callable[[Tensor, tuple[int, ...]], Tensor]) -> None:
        super().__init__()
        self._axes = axes
        self._reduce = reduce

    def forward(self, x: Tensor) -> Tensor:
        """One value for each channel."""
        return self._reduce(x, self._axes)


def _max_pool(layer: pool.Pooling, shape: Shape) -> nn.Module:
    kind = oriented({1: nn.MaxPool1d, 2: nn.MaxPool2d}[layer.axes], layer, shape)
    return _windowed(kind, layer, shape)


def _avg_pool(layer: Any, shape: Shape) -> nn.Module:
    kind = oriented({1: nn.AvgPool1d, 2: nn.AvgPool2d}[layer.axes], layer, shape)
    return _windowed(kind, layer, shape, count_include_pad=layer.count_padding)


def _windowed(kind: Any, layer: pool.Pooling, shape: Shape, **options: Any) -> nn.Module:
    sizes = {"kernel_size": layer.kernel, "stride": layer.strides, "padding": layer.pads(shape)}
    if layer.axes == 1:
        sizes = {name: value[0] for name, value in sizes.items()}  # type: ignore[misc]  # PyTorch wants plain numbers there
    module: nn.Module = kind(**sizes, **options)
    return module


def _adaptive(plain: dict[int, type[nn.Module]], reduce: _Reduce) -> Builder:
    def build(layer: pool.Adaptive, shape: Shape) -> nn.Module:
        space = layer.space(shape, layer.axes)
        # one window over all, or windows of one length: PyTorch's own, which every format knows
        if all(n % m == 0 for n, m in zip(space, layer.sizes, strict=True)):
            module: nn.Module = oriented(plain[layer.axes], layer, shape)(
                layer.sizes[0] if layer.axes == 1 else layer.sizes
            )
            return module
        built: nn.Module = oriented(AdaptivePool, layer, shape)(space, layer.sizes, reduce)
        return built

    return build


def _global(reduce: Callable[[Tensor, tuple[int, ...]], Tensor]) -> Builder:
    def build(layer: pool.Global, shape: Shape) -> nn.Module:
        axes = range(2, len(shape) + 1) if layer.in_channels_first(shape) else range(1, len(shape))
        return GlobalPool(tuple(axes), reduce)

    return build


BUILDERS: dict[str, Builder] = {
    "max_pool1d": _max_pool,
    "max_pool2d": _max_pool,
    "avg_pool1d": _avg_pool,
    "avg_pool2d": _avg_pool,
    **dict.fromkeys(
        ("adaptive_avg_pool1d", "adaptive_avg_pool2d"),
        _adaptive({1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}, torch.mean),
    ),
    **dict.fromkeys(
        ("adaptive_max_pool1d", "adaptive_max_pool2d"),
        _adaptive({1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d}, torch.amax),
    ),
    "global_avg_pool": _global(torch.mean),
    "global_max_pool": _global(torch.amax),
}
