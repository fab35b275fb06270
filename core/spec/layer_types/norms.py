"""Normalisation: values brought to mean 0 and deviation 1, over the batch or within a sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.spec.base import Bool, Count, Positive, Shape
from core.spec.layer_base import LAYOUT, LayerBase, LayoutChoice, ShapeError

_EPS = "added to the variance, above 0; default 1e-5"
_AFFINE = "whether gamma and beta are learnt; default true"


class ByChannel(LayerBase):
    """Has a gamma and a beta for each channel or feature."""

    normalises: ClassVar[bool] = True

    def channels_of(self, shape: Shape) -> int:
        """How many channels or features come in."""
        return shape[0] if self.in_channels_first(shape) else shape[-1]

    def parameter_count(self, shape: Shape) -> int:
        return 2 * self.channels_of(shape) if getattr(self, "affine", True) else 0


class BatchNorm(ByChannel):
    """(x - mean_B)/sqrt(var_B + eps) * gamma + beta for each feature or channel, Ioffe and Szegedy 2015."""

    cost: ClassVar[int] = 4
    over_batch: ClassVar[bool] = True
    type: Literal["batch_norm"] = "batch_norm"
    eps: Positive = Field(1e-5, description=_EPS)
    momentum: Annotated[float, Field(strict=True, gt=0, le=1)] = Field(
        0.1, description="share of each batch in the running mean and variance, above 0 up to 1; default 0.1"
    )
    affine: Bool = Field(True, description=_AFFINE)
    layout: LayoutChoice = Field("auto", description=LAYOUT)


class GroupNorm(ByChannel):
    """As layer_norm, over the values of each group of channels in a sample, Wu and He 2018."""

    synonyms: ClassVar[Mapping[str, str]] = {"num_groups": "groups"}
    nonlinear: ClassVar[bool] = True
    cost: ClassVar[int] = 6
    type: Literal["group_norm"] = "group_norm"
    groups: Count = Field(description="parts that the channels are cut into; divides their number")
    eps: Positive = Field(1e-5, description=_EPS)
    affine: Bool = Field(True, description=_AFFINE)
    layout: LayoutChoice = Field("auto", description=LAYOUT)

    def output_shape(self, shape: Shape) -> Shape:
        channels = self.channels_of(shape)
        if channels % self.groups:
            raise ShapeError(
                f"received {self.groups} groups for {channels} channels, expected a number that divides them; do "
                "change groups",
                code="not_divisible",
                field="groups",
            )
        return shape


class InstanceNorm(ByChannel):
    """(x - mean)/sqrt(var + eps) over each channel of each sample, Ulyanov et al. 2016."""

    nonlinear: ClassVar[bool] = True
    cost: ClassVar[int] = 6
    type: Literal["instance_norm"] = "instance_norm"
    eps: Positive = Field(1e-5, description=_EPS)
    affine: Bool = Field(False, description="whether gamma and beta are learnt; default false")
    layout: LayoutChoice = Field("auto", description=LAYOUT)

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) == 1 or self._length(shape) == 1:
            raise ShapeError(
                f"received an input of shape {list(shape)}, expected several values in each channel: the variance of "
                "one is 0; do use layer_norm or batch_norm",
                code="wrong_axes",
            )
        return shape

    def _length(self, shape: Shape) -> int:
        count = 1
        for n in shape:
            count *= n
        return count // self.channels_of(shape)


class LayerNorm(LayerBase):
    """(x - mean)/sqrt(var + eps) * gamma + beta over the last axis of each sample, Ba et al. 2016."""

    nonlinear: ClassVar[bool] = True
    cost: ClassVar[int] = 6
    normalises: ClassVar[bool] = True
    type: Literal["layer_norm"] = "layer_norm"
    eps: Positive = Field(1e-5, description=_EPS)
    affine: Bool = Field(True, description=_AFFINE)

    def parameter_count(self, shape: Shape) -> int:
        return 2 * shape[-1] if self.affine else 0


class RMSNorm(LayerBase):
    """x/sqrt(mean of x^2 + eps) * gamma over the last axis of each sample, Zhang and Sennrich 2019."""

    nonlinear: ClassVar[bool] = True
    cost: ClassVar[int] = 4
    normalises: ClassVar[bool] = True
    type: Literal["rms_norm"] = "rms_norm"
    eps: Positive = Field(1e-6, description="added to the mean of squares, above 0; default 1e-6")
    affine: Bool = Field(True, description="whether gamma is learnt; default true")

    def parameter_count(self, shape: Shape) -> int:
        return shape[-1] if self.affine else 0
