"""Windows that slide over images and sequences: kernel, stride, padding, and how many places they take."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from core.spec.base import Count, Shape
from core.spec.layer_base import LayerBase, ShapeError

Padding = Annotated[int, Field(strict=True, ge=0, le=10**6)]
Pair = Count | tuple[Count, Count]
PaddingPair = Padding | tuple[Padding, Padding]
Size = Count | tuple[Count, ...]

KERNEL = "length of the window on each axis: one number for all, or one for each"
STRIDE = "places from one window to the next; default 1"
PADDING = (
    "zeros put on each side of an axis: a number, same (as many as give the input's length divided by stride, rounded "
    "up) or valid (none); default 0"
)


def each(value: Size, axes: int) -> tuple[int, ...]:
    """One number for each axis."""
    return value if isinstance(value, tuple) else (value,) * axes


class Windowed(LayerBase):
    """Works on axes of space beside one of channels."""

    def space(self, shape: Shape, axes: int) -> Shape:
        """The lengths of the axes of space; raises ShapeError."""
        if len(shape) != axes + 1:
            raise ShapeError(
                f"received an input of shape {list(shape)}, expected {_WANTED[axes]}; do {_advice(shape, axes)}",
                code="wrong_axes",
            )
        return shape[1:] if self.in_channels_first(shape) else shape[:-1]

    def channels_of(self, shape: Shape) -> int:
        """How many channels or features come in."""
        return shape[0] if self.in_channels_first(shape) else shape[-1]

    def around(self, shape: Shape, space: tuple[int, ...], channels: int) -> Shape:
        """The shape of these lengths and channels with its axes in the order of `shape`."""
        return (channels, *space) if self.in_channels_first(shape) else (*space, channels)


_WANTED = {1: "two axes, (time, features) or (channels, length)", 2: "three axes, (channels, height, width)"}


def _advice(shape: Shape, axes: int) -> str:
    if len(shape) > axes + 1:
        less = {2: " or use the type for two axes of space", 3: ""}.get(axes + 1, "")
        return 'put {"type": "flatten"} and then unflatten before this layer' + less
    if axes == 1:
        return f'put {{"type": "unflatten", "shape": [{shape[0]}, 1]}} before this layer (time, features)'
    if len(shape) == 2:
        return f'put {{"type": "unflatten", "shape": [1, {shape[0]}, {shape[1]}]}} before this layer'
    side = math.isqrt(shape[0])
    square = f"[1, {side}, {side}]" if side * side == shape[0] else "[1, height, width]"
    return f'put {{"type": "unflatten", "shape": {square}}} before this layer, or give data.input_shape'


def same(n: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Padding before and behind an axis of n that leaves n/stride places, rounded up."""
    total = max((-(-n // stride) - 1) * stride + dilation * (kernel - 1) + 1 - n, 0)
    return total // 2, total - total // 2


def paddings(
    space: Shape, kernel: tuple[int, ...], stride: tuple[int, ...], padding: Size | str, dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """Padding before and behind each axis."""
    if padding == "same":
        return tuple(same(*sizes) for sizes in zip(space, kernel, stride, dilation, strict=True))
    if isinstance(padding, str):
        return ((0, 0),) * len(space)
    return tuple((p, p) for p in each(padding, len(space)))


def places(
    space: Shape,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    around: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
) -> Shape:
    """How many windows fit on each axis; raises ShapeError where none does."""
    lengths = []
    for n, k, s, (before, behind), d in zip(space, kernel, stride, around, dilation, strict=True):
        reach = d * (k - 1) + 1
        if reach > n + before + behind:
            dilated = f", {reach} with its dilation," if d > 1 else ""
            raise ShapeError(
                f"received a window of {k}{dilated} for an axis of {n} with {before + behind} of padding, expected at "
                f"most {n + before + behind}; do lower it, or pad more",
                code="kernel_too_large",
                field="kernel_size",
            )
        lengths.append((n + before + behind - reach) // s + 1)
    return tuple(lengths)


Edge = Literal["same", "valid"]
