"""First values of weights: a closed union by `type`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.spec.base import Float, NonNegative, Positive, SpecModel, check_range

Mode = Literal["fan_in", "fan_out", "fan_avg"]
Distribution = Literal["normal", "uniform"]

_MODE = "the n of the formula: inputs (fan_in), outputs (fan_out) or their mean (fan_avg)"
_DISTRIBUTION = "normal, or uniform with the same deviation"
_GAIN = "factor on the deviation, above 0; default 1"


class Torch(SpecModel):
    """PyTorch's own: weights and bias uniform within +-1/sqrt(n_in)."""

    type: Literal["torch"] = "torch"


class Xavier(SpecModel):
    """N(0, gain^2/n), Glorot and Bengio 2010. Here n = n_in unless mode differs; Glorot's own form is fan_avg."""

    type: Literal["xavier"] = "xavier"
    mode: Mode = Field("fan_in", description=_MODE)
    distribution: Distribution = Field("normal", description=_DISTRIBUTION)
    gain: Positive = Field(1.0, description=_GAIN)


class He(SpecModel):
    """N(0, 2 gain^2/n), He et al. 2015: keeps the scale through ReLU layers."""

    type: Literal["he"] = "he"
    mode: Mode = Field("fan_in", description=_MODE)
    distribution: Distribution = Field("normal", description=_DISTRIBUTION)
    gain: Positive = Field(1.0, description=_GAIN)


class Lecun(SpecModel):
    """N(0, gain^2/n_in), LeCun et al. 1998: what SELU asks for."""

    type: Literal["lecun"] = "lecun"
    mode: Mode = Field("fan_in", description=_MODE)
    distribution: Distribution = Field("normal", description=_DISTRIBUTION)
    gain: Positive = Field(1.0, description=_GAIN)


class Normal(SpecModel):
    """N(mean, std^2), whatever the layer's size."""

    type: Literal["normal"] = "normal"
    mean: Float = Field(0.0, description="mean of the values; default 0")
    std: NonNegative = Field(0.01, description="deviation of the values, from 0; default 0.01")


class Uniform(SpecModel):
    """Uniform between low and high, whatever the layer's size."""

    type: Literal["uniform"] = "uniform"
    low: Float = Field(-0.05, description="least value; default -0.05")
    high: Float = Field(0.05, description="greatest value, above low; default 0.05")

    @model_validator(mode="after")
    def _ordered(self) -> Uniform:
        check_range(self, "low", "high")
        return self


class Orthogonal(SpecModel):
    """A random orthogonal matrix times gain, Saxe et al. 2014."""

    type: Literal["orthogonal"] = "orthogonal"
    gain: Positive = Field(1.0, description=_GAIN)


class Zeros(SpecModel):
    """All zero: right for a bias; weights that begin so cannot learn."""

    type: Literal["zeros"] = "zeros"


class Constant(SpecModel):
    """All values the same."""

    type: Literal["constant"] = "constant"
    value: Float = Field(0.0, description="the value; default 0")


Init = Annotated[
    Torch | Xavier | He | Lecun | Normal | Uniform | Orthogonal | Zeros | Constant, Field(discriminator="type")
]


def bias_default(init: Init) -> Init:
    """First values of a bias that names none, beside weights of `init`."""
    return init if isinstance(init, Torch) else Zeros()


def recurrent_default(init: Init) -> Init:
    """First values of a state's weights that name none, beside input weights of `init`."""
    return init if isinstance(init, Torch) else Orthogonal()
