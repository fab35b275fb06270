"""What a layer type says of itself: the shape it gives, its parameters, its arithmetic. Plain integers only."""

from __future__ import annotations

import math
from typing import ClassVar

from core.spec.base import Shape, SpecModel


class ShapeError(ValueError):
    """A layer cannot take the shape that reaches it; `field` is the part of the layer to change, "" for all of it."""

    def __init__(self, detail: str, *, code: str = "shape_mismatch", field: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.field = field


class LayerBase(SpecModel):
    """A layer that keeps the shape and has no parameters; others override what differs.

    `shape` is always the shape of one sample that comes in, without the batch axis.
    """

    nonlinear: ClassVar[bool] = False
    """Bends: two linear layers around it do not collapse into one."""
    cost: ClassVar[int] = 0
    """Floating-point operations for each value, for layers that work value by value."""

    def output_shape(self, shape: Shape) -> Shape:
        """The shape that goes out; raises ShapeError."""
        return shape

    def shape_of_any(self) -> Shape | None:
        """The shape that goes out whatever comes in, None when that depends; for networks whose input is not known."""
        return None

    def parameter_count(self, shape: Shape) -> int:  # noqa: ARG002 - layers with parameters override it
        """How many numbers are learnt."""
        return 0

    def flops(self, shape: Shape) -> int:
        """Floating-point operations of one sample's forward pass; a multiply-add counts two."""
        return self.cost * math.prod(shape)
