"""Activations: layers that bend each value by itself and keep the shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from core.spec.base import Bool, Float, NonNegative, Positive, Shape, check_range
from core.spec.layer_base import LAYOUT, LayerBase, LayoutChoice


class Activation(LayerBase):
    """A function of one value."""

    nonlinear: ClassVar[bool] = True
    cost: ClassVar[int] = 1


class Sigmoid(Activation):
    """1/(1 + e^-z), between 0 and 1; its derivative s(1-s) is at most 1/4."""

    cost: ClassVar[int] = 4
    type: Literal["sigmoid"] = "sigmoid"


class Tanh(Activation):
    """tanh z, between -1 and 1."""

    cost: ClassVar[int] = 4
    type: Literal["tanh"] = "tanh"


class ReLU(Activation):
    """max(0, z): linear above 0, nothing below."""

    type: Literal["relu"] = "relu"


class LeakyReLU(Activation):
    """z above 0, negative_slope * z below."""

    synonyms: ClassVar[Mapping[str, str]] = {"alpha": "negative_slope"}
    type: Literal["leaky_relu"] = "leaky_relu"
    negative_slope: NonNegative = Field(0.01, description="slope below 0, from 0; default 0.01")


class ELU(Activation):
    """z above 0, alpha (e^z - 1) below, Clevert et al. 2016."""

    cost: ClassVar[int] = 3
    type: Literal["elu"] = "elu"
    alpha: Positive = Field(1.0, description="minus the limit for very negative z, above 0; default 1")


class SELU(Activation):
    """1.0507 times ELU of alpha 1.6733: keeps mean 0 and deviation 1, Klambauer et al. 2017."""

    cost: ClassVar[int] = 3
    type: Literal["selu"] = "selu"


class GELU(Activation):
    """z Phi(z), Phi the normal distribution, Hendrycks and Gimpel 2016."""

    cost: ClassVar[int] = 6
    type: Literal["gelu"] = "gelu"
    approximate: Literal["none", "tanh"] = Field("none", description="none: exact; tanh: the paper's approximation")


class Softplus(Activation):
    """log(1 + e^(beta z))/beta, a smooth ReLU."""

    cost: ClassVar[int] = 4
    type: Literal["softplus"] = "softplus"
    beta: Positive = Field(1.0, description="sharpness of the bend, above 0; default 1")
    threshold: Positive = Field(20.0, description="beta z above which it is z itself, above 0; default 20")


class Swish(Activation):
    """z sigmoid(beta z), Ramachandran et al. 2017; beta 1 is SiLU."""

    cost: ClassVar[int] = 5
    type: Literal["swish"] = "swish"
    beta: Float = Field(1.0, description="factor within the sigmoid; where it begins when learnt; default 1")
    learnable: Bool = Field(False, description="true: beta is one more parameter of the network")

    def parameter_count(self, shape: tuple[int, ...]) -> int:  # noqa: ARG002 - one beta whatever the shape
        return 1 if self.learnable else 0


class Mish(Activation):
    """z tanh(softplus(z)), Misra 2019."""

    cost: ClassVar[int] = 8
    type: Literal["mish"] = "mish"


class HardTanh(Activation):
    """z cut off at min_val and max_val."""

    cost: ClassVar[int] = 2
    type: Literal["hard_tanh"] = "hard_tanh"
    min_val: Float = Field(-1.0, description="least value; default -1")
    max_val: Float = Field(1.0, description="greatest value, above min_val; default 1")

    @model_validator(mode="after")
    def _ordered(self) -> HardTanh:
        check_range(self, "min_val", "max_val")
        return self


class Softsign(Activation):
    """z/(1 + |z|), between -1 and 1."""

    cost: ClassVar[int] = 3
    type: Literal["softsign"] = "softsign"


class PReLU(Activation):
    """z above 0, a z below; the slope a is learnt, He et al. 2015."""

    synonyms: ClassVar[Mapping[str, str]] = {"init": "slope"}
    type: Literal["prelu"] = "prelu"
    slope: Float = Field(0.25, description="where the slope begins; default 0.25")
    per_channel: Bool = Field(False, description="true: a slope for each channel or feature; false: one for all")
    layout: LayoutChoice = Field("auto", description=LAYOUT)

    def channels_of(self, shape: Shape) -> int:
        """How many slopes there are with one for each channel."""
        return shape[0] if self.in_channels_first(shape) else shape[-1]

    def parameter_count(self, shape: Shape) -> int:
        return self.channels_of(shape) if self.per_channel else 1


ActivationLayer = (
    Sigmoid | Tanh | ReLU | LeakyReLU | ELU | SELU | GELU | Softplus | Swish | Mish | HardTanh | Softsign | PReLU
)
ActivationName = Literal[
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "softplus",
    "swish",
    "mish",
    "hard_tanh",
    "softsign",
    "prelu",
]
