"""What a layer type says of itself: the shape it gives, its parameters, its arithmetic. Plain integers only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from core.spec.base import Shape, SpecModel

WEIGHT_INIT = "first values of the weights; null: network.init"
BIAS_INIT = "first values of the bias; null: zeros, or PyTorch's own with init torch"


class ShapeError(ValueError):
    """A layer cannot take the shape that reaches it; `field` is the part of the layer to change, "" for all of it."""

    def __init__(self, detail: str, *, code: str = "shape_mismatch", field: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.field = field


class LayerBase(SpecModel):
    """A layer that keeps the shape and has no parameters; others override what differs.

    `shape` is always the shape of one sample that comes in, without the batch axis. A layer whose first values may be
    chosen has the fields `init` and, for its bias, `bias_init`; plan and engine fill them by these names.
    """

    synonyms: ClassVar[Mapping[str, str]] = {}
    """What other libraries call a field: their name to ours."""
    widths: ClassVar[tuple[str, ...]] = ()
    """Fields that say how many values a layer gives; a limit of the service holds for each."""
    nonlinear: ClassVar[bool] = False
    """Bends: two linear layers around it do not collapse into one."""
    linear_map: ClassVar[bool] = False
    """A learnt linear map: two of them with nothing that bends between them are one."""
    normalises: ClassVar[bool] = False
    """Brings values to a scale of its own, so that none vanish or explode behind it."""
    over_batch: ClassVar[bool] = False
    """Computes over the samples of a batch, of which it needs two."""
    cost: ClassVar[int] = 0
    """Floating-point operations for each value, for layers that work value by value."""

    @model_validator(mode="before")
    @classmethod
    def _under_our_names(cls, value: Any) -> Any:
        """The same fields under our names; one that is given under both is a fault."""
        if not isinstance(value, dict):
            return value
        for theirs, ours in cls.synonyms.items():
            if theirs not in value:
                continue
            if ours in value:
                raise PydanticCustomError(
                    "two_names",
                    "received both {ours} and {theirs}, expected one of them: they are the same field; do remove "
                    "{theirs}",
                    {"ours": ours, "theirs": theirs, "field": theirs},
                )
            value = {ours if name == theirs else name: given for name, given in value.items()}
        return value

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
