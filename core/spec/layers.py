"""Layer types of a network, read like `nn.Sequential`: one class a type, one closed union, one table.

A new type is a class here (fields, shape rule, parameters, operations), its place in `Layer`, and its builder in the
engine.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from core.spec.activations import ActivationLayer
from core.spec.base import Bool, Count, Positive, Shape
from core.spec.inits import Init
from core.spec.layer_base import LayerBase, ShapeError


class Linear(LayerBase):
    """W x + b with W of units x inputs (PyTorch's shape)."""

    type: Literal["linear"] = "linear"
    units: Count = Field(description="outputs of the layer, from 1")
    bias: Bool = Field(True, description="whether b is there; default true")
    init: Init | None = Field(None, description="first values of W; null: network.init")
    bias_init: Init | None = Field(None, description="first values of b; null: zeros, or PyTorch's own with init torch")

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

    def parameter_count(self, shape: Shape) -> int:
        return (shape[-1] + self.bias) * self.units

    def flops(self, shape: Shape) -> int:
        return (2 * shape[-1] + self.bias) * self.units


class Flatten(LayerBase):
    """All axes of a sample in one."""

    type: Literal["flatten"] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


class Unflatten(LayerBase):
    """The same values with the axes of `shape`."""

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


class Dropout(LayerBase):
    """Drops each value with probability p in training and scales the others by 1/(1-p), Srivastava et al. 2014."""

    cost: ClassVar[int] = 2
    type: Literal["dropout"] = "dropout"
    p: Annotated[float, Field(strict=True, ge=0, lt=1)] = Field(
        0.5, description="probability of dropping a value, 0 up to 1; default 0.5"
    )


class BatchNorm(LayerBase):
    """(x - mean_B)/sqrt(var_B + eps) * gamma + beta for each feature or channel, Ioffe and Szegedy 2015."""

    cost: ClassVar[int] = 4
    type: Literal["batch_norm"] = "batch_norm"
    eps: Positive = Field(1e-5, description="added to the variance, above 0; default 1e-5")
    momentum: Annotated[float, Field(strict=True, gt=0, le=1)] = Field(
        0.1, description="share of each batch in the running mean and variance, above 0 up to 1; default 0.1"
    )
    affine: Bool = Field(True, description="whether gamma and beta are learnt; default true")

    def parameter_count(self, shape: Shape) -> int:
        return 2 * shape[0] if self.affine else 0


class LayerNorm(LayerBase):
    """(x - mean)/sqrt(var + eps) * gamma + beta over the last axis of each sample, Ba et al. 2016."""

    cost: ClassVar[int] = 6
    type: Literal["layer_norm"] = "layer_norm"
    eps: Positive = Field(1e-5, description="added to the variance, above 0; default 1e-5")
    affine: Bool = Field(True, description="whether gamma and beta are learnt; default true")

    def parameter_count(self, shape: Shape) -> int:
        return 2 * shape[-1] if self.affine else 0


Layer = Annotated[
    Linear | Flatten | Unflatten | Dropout | BatchNorm | LayerNorm | ActivationLayer, Field(discriminator="type")
]

LAYERS: dict[str, type[LayerBase]] = {
    str(model.model_fields["type"].default): model for model in get_args(get_args(Layer)[0])
}
"""Every layer type by name; the engine's table of builders has the same keys."""
