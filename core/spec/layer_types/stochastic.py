"""Layers that draw random numbers in training: noise, and the probabilistic code of a variational autoencoder."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.spec.base import Count, NonNegative, Shape
from core.spec.inits import Init
from core.spec.layer_base import BIAS_INIT, WEIGHT_INIT, LayerBase
from core.spec.layer_types.basic import ToUnits

NoiseKind = Literal["additive", "multiplicative", "masking", "salt_and_pepper"]


class Noise(LayerBase):
    """x + std e, e from N(0, 1), in training alone: what a denoising autoencoder is to undo, Vincent et al. 2008."""

    cost: ClassVar[int] = 2
    type: Literal["noise"] = "noise"
    kind: NoiseKind = Field(
        "additive",
        description="additive: x + std e; multiplicative: x (1 + std e); masking: 0 with probability p; "
        "salt_and_pepper: the batch's least or greatest value with probability p",
    )
    std: NonNegative = Field(
        0.1,
        description="deviation of the noise, in the unit of what comes in (multiplicative: as a share); default 0.1",
    )
    p: Annotated[float, Field(strict=True, ge=0, le=1)] = Field(
        0.1, description="share of the values that masking and salt_and_pepper replace, 0 to 1; default 0.1"
    )


class Latent(ToUnits):
    """z = m + e exp(v/2): mean m and log-variance v are linear maps of the input; e from N(0, 1) in training, 0 after.

    beta KL(N(m, exp v) || N(0, 1)) = beta sum(m^2 + exp v - 1 - v)/2 of each row is added to its loss,
    Kingma and Welling 2014.
    """

    synonyms: ClassVar[dict[str, str]] = {"latent_dim": "units"}
    type: Literal["latent"] = "latent"
    units: Count = Field(description="axes of the latent space, from 1")
    beta: NonNegative | None = Field(
        None,
        description="weight of the divergence beside a row's loss, from 0; null: 2 over the number of inputs when they "
        "are reproduced, which with loss mse is the evidence lower bound of a decoder of variance 1, else 1",
    )
    init: Init | None = Field(None, description=WEIGHT_INIT)
    bias_init: Init | None = Field(None, description=BIAS_INIT)

    def parameter_count(self, shape: Shape) -> int:
        return 2 * (shape[-1] + 1) * self.units

    def flops(self, shape: Shape) -> int:
        """Two linear maps, the draw (3 operations a unit) and the divergence (6)."""
        return 2 * (2 * shape[-1] + 1) * self.units + 9 * self.units
