"""Convolutions and what undoes them: conv1d, conv2d, conv_transpose1d, conv_transpose2d, upsample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.spec.base import Bool, Count, Shape
from core.spec.inits import Init
from core.spec.layer_base import BIAS_INIT, LAYOUT, WEIGHT_INIT, LayoutChoice, ShapeError
from core.spec.layer_types.windows import (
    KERNEL,
    PADDING,
    STRIDE,
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

_CHANNELS = "channels (features of a sequence) that go out, from 1"
_DILATION = "places from one value of the window to the next; default 1"
_GROUPS = "parts that the channels are cut into, each convolved by itself; divides those that come in and go out"
_BIAS = "whether each channel has a bias; default true"


class Convolution(Windowed):
    """What convolutions have in common."""

    synonyms: ClassVar[Mapping[str, str]] = {
        "out_channels": "channels",
        "filters": "channels",
        "strides": "stride",
        "dilation_rate": "dilation",
        "use_bias": "bias",
    }
    widths: ClassVar[tuple[str, ...]] = ("channels",)
    linear_map: ClassVar[bool] = True
    axes: ClassVar[int]
    type: str = ""
    channels: Count = Field(description=_CHANNELS)
    kernel_size: Size = Field(description=KERNEL)
    stride: Size = Field(1, description=STRIDE)
    padding: Padding | tuple[Padding, ...] | Edge = Field(0, description=PADDING)
    dilation: Size = Field(1, description=_DILATION)
    groups: Count = Field(1, description=_GROUPS)
    bias: Bool = Field(True, description=_BIAS)
    init: Init | None = Field(None, description=WEIGHT_INIT)
    bias_init: Init | None = Field(None, description=BIAS_INIT)

    @property
    def kernel(self) -> tuple[int, ...]:
        return each(self.kernel_size, self.axes)

    @property
    def strides(self) -> tuple[int, ...]:
        return each(self.stride, self.axes)

    @property
    def dilations(self) -> tuple[int, ...]:
        return each(self.dilation, self.axes)

    def around_axes(self, shape: Shape) -> tuple[tuple[int, int], ...]:
        """Zeros before and behind each axis of space."""
        space = self.space(shape, self.axes)
        return paddings(space, self.kernel, self.strides, self.padding, self.dilations)

    def output_shape(self, shape: Shape) -> Shape:
        space = self.space(shape, self.axes)
        self._check_groups(self.channels_of(shape))
        lengths = places(space, self.kernel, self.strides, self.around_axes(shape), self.dilations)
        return self.around(shape, lengths, self.channels)

    def parameter_count(self, shape: Shape) -> int:
        weights = self.channels_of(shape) * self.channels // self.groups * math.prod(self.kernel)
        return weights + self.bias * self.channels

    def flops(self, shape: Shape) -> int:
        out = math.prod(self.space(self.output_shape(shape), self.axes))
        weights = self.channels_of(shape) * self.channels // self.groups * math.prod(self.kernel)
        return out * (2 * weights + self.bias * self.channels)

    def _check_groups(self, given: int) -> None:
        for channels, way in ((given, "in"), (self.channels, "out")):
            if channels % self.groups:
                raise ShapeError(
                    f"received {self.groups} groups for {channels} channels {way}, expected a number that divides "
                    "them; do change groups" + (" or channels" if way == "out" else ""),
                    code="not_divisible",
                    field="groups",
                )


class Conv1d(Convolution):
    """y[c, t] = sum of w[c, i, j] x[i, t stride + j dilation] + b[c]: one kernel slides over a sequence, LeCun 1989."""

    axes: ClassVar[int] = 1
    type: Literal["conv1d"] = "conv1d"
    kernel_size: Count = Field(description="length of the window, from 1")
    stride: Count = Field(1, description=STRIDE)
    padding: Padding | Edge = Field(0, description=PADDING)
    dilation: Count = Field(1, description=_DILATION)
    layout: LayoutChoice = Field("auto", description=LAYOUT)


class Conv2d(Convolution):
    """Kernels that slide over an image (channels, height, width), LeCun et al. 1989."""

    axes: ClassVar[int] = 2
    type: Literal["conv2d"] = "conv2d"
    kernel_size: Pair = Field(description=KERNEL)
    stride: Pair = Field(1, description=STRIDE)
    padding: PaddingPair | Edge = Field(0, description=PADDING)
    dilation: Pair = Field(1, description=_DILATION)


_EXTRA = "values added behind each axis, fewer than stride or dilation: a stride hides how many there were; default 0"
_CUT = "values cut off on each side of an axis: a number, or same (the input's length times stride comes out)"


class Transposed(Convolution):
    """What transposed convolutions have in common."""

    padding: Padding | tuple[Padding, ...] | Literal["same"] = Field(0, description=_CUT)
    output_padding: Padding | tuple[Padding, ...] = Field(0, description=_EXTRA)

    def cut(self) -> tuple[tuple[int, int], ...]:
        """For each axis what is cut off on both sides, and what is added behind."""
        if self.padding != "same":
            extra = self.output_padding
            added = extra if isinstance(extra, tuple) else (extra,) * self.axes
            padding = self.padding if isinstance(self.padding, tuple) else (int(self.padding),) * self.axes
            return tuple(zip(padding, added, strict=True))
        cuts = []
        for k, s, d in zip(self.kernel, self.strides, self.dilations, strict=True):
            over = d * (k - 1) + 1 - s
            cut = max(-(-over // 2), 0)
            cuts.append((cut, 2 * cut - over))
        return tuple(cuts)

    def output_shape(self, shape: Shape) -> Shape:
        space = self.space(shape, self.axes)
        self._check_groups(self.channels_of(shape))
        lengths = []
        for n, k, s, d, (cut, extra) in zip(space, self.kernel, self.strides, self.dilations, self.cut(), strict=True):
            if extra >= max(s, d):
                raise ShapeError(
                    f"received {extra} values to add with stride {s} and dilation {d}, expected fewer than the greater "
                    "of both; do lower it, or use an odd kernel_size with padding same",
                    code="output_padding",
                    field="padding" if self.padding == "same" else "output_padding",
                )
            length = (n - 1) * s - 2 * cut + d * (k - 1) + extra + 1
            if length < 1:
                raise ShapeError(
                    f"received {cut} to cut off on both sides of {length + 2 * cut} values, expected fewer; do lower "
                    "padding",
                    code="kernel_too_large",
                    field="padding",
                )
            lengths.append(length)
        return self.around(shape, tuple(lengths), self.channels)

    def flops(self, shape: Shape) -> int:
        given = math.prod(self.space(shape, self.axes))
        weights = self.channels_of(shape) * self.channels // self.groups * math.prod(self.kernel)
        out = math.prod(self.space(self.output_shape(shape), self.axes))
        return 2 * given * weights + self.bias * self.channels * out


class ConvTranspose1d(Transposed):
    """The transpose of conv1d's map: a sequence grows by stride, Zeiler et al. 2010."""

    axes: ClassVar[int] = 1
    type: Literal["conv_transpose1d"] = "conv_transpose1d"
    kernel_size: Count = Field(description="length of the window, from 1")
    stride: Count = Field(1, description="by how much the length grows; default 1")
    padding: Padding | Literal["same"] = Field(0, description=_CUT)
    dilation: Count = Field(1, description=_DILATION)
    output_padding: Padding = Field(0, description=_EXTRA)
    layout: LayoutChoice = Field("auto", description=LAYOUT)


class ConvTranspose2d(Transposed):
    """The transpose of conv2d's map: an image grows by stride, Zeiler et al. 2010."""

    axes: ClassVar[int] = 2
    type: Literal["conv_transpose2d"] = "conv_transpose2d"
    kernel_size: Pair = Field(description=KERNEL)
    stride: Pair = Field(1, description="by how much each length grows; default 1")
    padding: PaddingPair | Literal["same"] = Field(0, description=_CUT)
    dilation: Pair = Field(1, description=_DILATION)
    output_padding: PaddingPair = Field(0, description=_EXTRA)


class Upsample(Windowed):
    """Each axis of space `scale` times as long, by copies or by lines between the values."""

    synonyms: ClassVar[Mapping[str, str]] = {"scale_factor": "scale", "interpolation": "mode"}
    cost: ClassVar[int] = 1
    type: Literal["upsample"] = "upsample"
    scale: Annotated[Pair, Field(description="how many times as long: one number for all axes, or one for each")] = 2
    mode: Literal["nearest", "linear"] = Field(
        "nearest", description="nearest: copies; linear: lines between neighbours (bilinear on images)"
    )
    layout: LayoutChoice = Field("auto", description=LAYOUT)

    def output_shape(self, shape: Shape) -> Shape:
        axes = 1 if len(shape) == 2 else 2
        space = self.space(shape, axes)
        if isinstance(self.scale, tuple) and axes == 1:
            raise ShapeError(
                f"received 2 scales for the one axis of {list(shape)}, expected a number; do give one", field="scale"
            )
        lengths = tuple(n * k for n, k in zip(space, each(self.scale, axes), strict=True))
        return self.around(shape, lengths, self.channels_of(shape))

    def flops(self, shape: Shape) -> int:
        axes = len(shape) - 1
        return 0 if self.mode == "nearest" else (4**axes - 1) * math.prod(self.output_shape(shape))
