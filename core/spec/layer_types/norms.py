"""Normalisation: values brought to mean 0 and deviation 1, over the batch or within a sample."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.spec.base import Bool, Positive, Shape
from core.spec.layer_base import LayerBase


class BatchNorm(LayerBase):
    """(x - mean_B)/sqrt(var_B + eps) * gamma + beta for each feature or channel, Ioffe and Szegedy 2015."""

    cost: ClassVar[int] = 4
    normalises: ClassVar[bool] = True
    over_batch: ClassVar[bool] = True
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
    normalises: ClassVar[bool] = True
    type: Literal["layer_norm"] = "layer_norm"
    eps: Positive = Field(1e-5, description="added to the variance, above 0; default 1e-5")
    affine: Bool = Field(True, description="whether gamma and beta are learnt; default true")

    def parameter_count(self, shape: Shape) -> int:
        return 2 * shape[-1] if self.affine else 0
