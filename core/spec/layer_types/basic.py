"""Layers that every kind of network has: linear, the shape of a sample, dropout."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.spec.base import Bool, Count, Shape
from core.spec.inits import Init
from core.spec.layer_base import BIAS_INIT, LAYOUT, WEIGHT_INIT, LayerBase, LayoutChoice, ShapeError, Signal


class ToUnits(LayerBase):
    """What layers from one axis of features to `units` outputs have in common."""

    widths: ClassVar[tuple[str, ...]] = ("units",)
    type: str = ""
    units: Count

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise ShapeError(
                f"received an input of shape {list(shape)}, expected one axis of features; "
                'do put {"type": "flatten"} before this layer',
                code="needs_flatten",
            )
        return (self.units,)

    def shape_of_any(self) -> Shape:
        return (self.units,)


class Linear(ToUnits):
    """W x + b with W of units x inputs (PyTorch's shape)."""

    synonyms: ClassVar[Mapping[str, str]] = {"out_features": "units"}
    linear_map: ClassVar[bool] = True
    type: Literal["linear"] = "linear"
    units: Count = Field(description="outputs of the layer, from 1")
    bias: Bool = Field(True, description="whether b is there; default true")
    init: Init | None = Field(None, description=WEIGHT_INIT)
    bias_init: Init | None = Field(None, description=BIAS_INIT)

    def parameter_count(self, shape: Shape) -> int:
        return (shape[-1] + self.bias) * self.units

    def flops(self, shape: Shape) -> int:
        return (2 * shape[-1] + self.bias) * self.units


class Flatten(LayerBase):
    """All axes of a sample in one."""

    keeps_codes: ClassVar[bool] = True
    type: Literal["flatten"] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


class Unflatten(LayerBase):
    """The same values with the axes of `shape`."""

    widths: ClassVar[tuple[str, ...]] = ("shape",)
    keeps_codes: ClassVar[bool] = True
    type: Literal["unflatten"] = "unflatten"
    shape: Annotated[tuple[Count, ...], Field(min_length=1, max_length=4)] = Field(
        description="axes of one sample that go out; their product is the number of values that come in"
    )

    def output_shape(self, shape: Shape) -> Shape:
        if math.prod(self.shape) != math.prod(shape):
            raise ShapeError(
                f"received {math.prod(shape)} values for the shape {list(self.shape)}, expected "
                f"{math.prod(self.shape)}; do choose axes whose product is {math.prod(shape)}",
                field="shape",
            )
        return self.shape

    def shape_of_any(self) -> Shape:
        return self.shape


class Permute(LayerBase):
    """The axes of a sample in another order: axis i that goes out is axis axes[i] that came in."""

    keeps_codes: ClassVar[bool] = True
    type: Literal["permute"] = "permute"
    axes: Annotated[tuple[Annotated[int, Field(strict=True, ge=0, le=3)], ...], Field(min_length=1, max_length=4)] = (
        Field(description="each axis of a sample once, counted from 0 without the batch; [1, 0] swaps two")
    )

    def passed(self, signal: Signal) -> Signal:
        layout = signal.layout
        if len(signal.shape) == 2 and self.axes == (1, 0):
            layout = "channels_first" if signal.meaning == "sequence" else "sequence"
        return Signal(self.output_shape(signal.shape), layout, signal.whole)

    def output_shape(self, shape: Shape) -> Shape:
        if sorted(self.axes) != list(range(len(shape))):
            raise ShapeError(
                f"received the axes {list(self.axes)} for an input of shape {list(shape)}, expected each of 0 to "
                f"{len(shape) - 1} once; do list them all",
                field="axes",
            )
        return tuple(shape[axis] for axis in self.axes)


class Select(LayerBase):
    """Some features of a sample (channels of an image), in the order named; within `parallel` each set goes its way."""

    keeps_codes: ClassVar[bool] = True
    type: Literal["select"] = "select"
    indices: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=0, le=10**9)], ...], Field(min_length=1, max_length=10_000)
    ] = Field(description="places of the features that go out, counted from 0")
    layout: LayoutChoice = Field("auto", description=LAYOUT)

    def output_shape(self, shape: Shape) -> Shape:
        axis = self.axis(shape)
        wrong = next((place for place, index in enumerate(self.indices) if index >= shape[axis]), None)
        if wrong is not None:
            raise ShapeError(
                f"received the place {self.indices[wrong]} among {shape[axis]} features, expected 0 to "
                f"{shape[axis] - 1}; do lower it",
                field=f"indices/{wrong}",
            )
        return (*shape[:axis], len(self.indices), *shape[axis + 1 :])

    def axis(self, shape: Shape) -> int:
        """The axis of features or channels."""
        return 0 if self.in_channels_first(shape) else len(shape) - 1


class Dropout(LayerBase):
    """Drops each value with probability p in training and scales the others by 1/(1-p), Srivastava et al. 2014."""

    synonyms: ClassVar[Mapping[str, str]] = {"rate": "p"}
    cost: ClassVar[int] = 2
    type: Literal["dropout"] = "dropout"
    p: Annotated[float, Field(strict=True, ge=0, lt=1)] = Field(
        0.5, description="probability of dropping a value, 0 up to 1; default 0.5"
    )
