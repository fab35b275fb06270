"""Pooling: the greatest or the mean of a window, of a fixed number of windows, or of all there is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from core.spec.base import Bool, Count, Shape
from core.spec.layer_base import LAYOUT, LayoutChoice, ShapeError
from core.spec.layer_types.windows import (
    KERNEL,
    Edge,
    Padding,
    PaddingPair,
    Pair,
    Size,
    Windowed,
    each,
    paddings,
    places,
)

_STRIDE = "places from one window to the next; null: as long as the window"
_PADDING = "what is put on each side of an axis: a number up to half the window, same or valid (none); default 0"
_COUNTED = "whether the zeros of the padding count in the mean; default true"


class Pooling(Windowed):
    """What pooling by windows has in common."""

    synonyms: ClassVar[Mapping[str, str]] = {"pool_size": "kernel_size", "strides": "stride"}
    axes: ClassVar[int]
    type: str = ""
    kernel_size: Size = Field(2, description=KERNEL)
    stride: Size | None = Field(None, description=_STRIDE)
    padding: Padding | tuple[Padding, ...] | Edge = Field(0, description=_PADDING)

    @property
    def kernel(self) -> tuple[int, ...]:
        return each(self.kernel_size, self.axes)

    @property
    def strides(self) -> tuple[int, ...]:
        return self.kernel if self.stride is None else each(self.stride, self.axes)

    def pads(self, shape: Shape) -> tuple[int, ...]:
        """Padding on both sides of each axis; raises ShapeError where the sides would differ or there is too much."""
        space = self.space(shape, self.axes)
        around = paddings(space, self.kernel, self.strides, self.padding, (1,) * self.axes)
        for (before, behind), k in zip(around, self.kernel, strict=True):
            if before != behind or before > k // 2:
                what = f"{before} before and {behind} behind" if before != behind else f"{before} on each side"
                raise ShapeError(
                    f"received padding of {what} for a window of {k}, expected the same on both sides and at most "
                    f"{k // 2}; do give a number, or valid",
                    code="padding",
                    field="padding",
                )
        return tuple(before for before, _ in around)

    def output_shape(self, shape: Shape) -> Shape:
        space = self.space(shape, self.axes)
        around = tuple((p, p) for p in self.pads(shape))
        lengths = places(space, self.kernel, self.strides, around, (1,) * self.axes)
        return self.around(shape, lengths, self.channels_of(shape))

    def flops(self, shape: Shape) -> int:
        return math.prod(self.kernel) * math.prod(self.output_shape(shape))


class _Pooling1d(Pooling):
    axes: ClassVar[int] = 1
    kernel_size: Count = Field(2, description="length of the window; default 2")
    stride: Count | None = Field(None, description=_STRIDE)
    padding: Padding | Edge = Field(0, description=_PADDING)


class _Pooling2d(Pooling):
    axes: ClassVar[int] = 2
    kernel_size: Pair = Field(2, description=KERNEL)
    stride: Pair | None = Field(None, description=_STRIDE)
    padding: PaddingPair | Edge = Field(0, description=_PADDING)


class MaxPool1d(_Pooling1d):
    """The greatest value of each window of a sequence."""

    nonlinear: ClassVar[bool] = True
    type: Literal["max_pool1d"] = "max_pool1d"
    layout: LayoutChoice = Field("auto", description=LAYOUT)


class MaxPool2d(_Pooling2d):
    """The greatest value of each window of an image, channel by channel."""

    nonlinear: ClassVar[bool] = True
    type: Literal["max_pool2d"] = "max_pool2d"


class AvgPool1d(_Pooling1d):
    """The mean of each window of a sequence."""

    synonyms: ClassVar[Mapping[str, str]] = {**Pooling.synonyms, "count_include_pad": "count_padding"}
    type: Literal["avg_pool1d"] = "avg_pool1d"
    count_padding: Bool = Field(True, description=_COUNTED)
    layout: LayoutChoice = Field("auto", description=LAYOUT)


class AvgPool2d(_Pooling2d):
    """The mean of each window of an image, channel by channel."""

    synonyms: ClassVar[Mapping[str, str]] = {**Pooling.synonyms, "count_include_pad": "count_padding"}
    type: Literal["avg_pool2d"] = "avg_pool2d"
    count_padding: Bool = Field(True, description=_COUNTED)


_OUTPUT = "windows on each axis: one number for all, or one for each"


class Adaptive(Windowed):
    """What pooling to a fixed size has in common: window i goes from floor(i n/m) up to ceil((i+1) n/m)."""

    axes: ClassVar[int]
    type: str = ""
    output_size: Size = Field(description=_OUTPUT)

    @property
    def sizes(self) -> tuple[int, ...]:
        return each(self.output_size, self.axes)

    def output_shape(self, shape: Shape) -> Shape:
        self.space(shape, self.axes)
        return self.around(shape, self.sizes, self.channels_of(shape))

    def flops(self, shape: Shape) -> int:
        space = self.space(shape, self.axes)
        windows = (-(-n // m) for n, m in zip(space, self.sizes, strict=True))
        return math.prod(windows) * math.prod(self.output_shape(shape))


class AdaptiveAvgPool1d(Adaptive):
    """The means of `output_size` windows that share out a sequence, whatever its length."""

    axes: ClassVar[int] = 1
    type: Literal["adaptive_avg_pool1d"] = "adaptive_avg_pool1d"
    output_size: Count = Field(description="windows, from 1")
    layout: LayoutChoice = Field("auto", description=LAYOUT)


class AdaptiveAvgPool2d(Adaptive):
    """The means of as many windows as asked for that share out an image."""

    axes: ClassVar[int] = 2
    type: Literal["adaptive_avg_pool2d"] = "adaptive_avg_pool2d"
    output_size: Pair = Field(description=_OUTPUT)


class AdaptiveMaxPool1d(Adaptive):
    """The greatest values of `output_size` windows that share out a sequence."""

    nonlinear: ClassVar[bool] = True
    axes: ClassVar[int] = 1
    type: Literal["adaptive_max_pool1d"] = "adaptive_max_pool1d"
    output_size: Count = Field(description="windows, from 1")
    layout: LayoutChoice = Field("auto", description=LAYOUT)


class AdaptiveMaxPool2d(Adaptive):
    """The greatest values of as many windows as asked for that share out an image."""

    nonlinear: ClassVar[bool] = True
    axes: ClassVar[int] = 2
    type: Literal["adaptive_max_pool2d"] = "adaptive_max_pool2d"
    output_size: Pair = Field(description=_OUTPUT)


class Global(Windowed):
    """One value for each channel of a sequence or an image."""

    cost: ClassVar[int] = 1

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) == 1:
            self.space(shape, 1)
        return (self.channels_of(shape),)


class GlobalAvgPool(Global):
    """The mean of each channel over a whole sequence or image, Lin et al. 2014."""

    type: Literal["global_avg_pool"] = "global_avg_pool"
    layout: LayoutChoice = Field("auto", description=LAYOUT)


class GlobalMaxPool(Global):
    """The greatest value of each channel over a whole sequence or image."""

    nonlinear: ClassVar[bool] = True
    type: Literal["global_max_pool"] = "global_max_pool"
    layout: LayoutChoice = Field("auto", description=LAYOUT)
