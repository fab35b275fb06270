"""Layers that change nothing and ask something of the values that pass: a term added to the loss in training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.spec.base import NonNegative
from core.spec.layer_base import LayerBase


class ActivityRegularizer(LayerBase):
    """Values pass as they are; l1 sum|a| + l2 sum a^2 + kl sum KL(target || mean a) is added to each row's loss.

    The sums go over the values a of a row; KL is that between coins of probability target and of the unit's mean over
    the batch, which must lie between 0 and 1 as after a sigmoid (Ng's sparse autoencoder, 2011).
    """

    cost: ClassVar[int] = 4
    type: Literal["activity_regularizer"] = "activity_regularizer"
    l1: NonNegative = Field(0.0, description="weight of the sum of absolute values, from 0; default 0")
    l2: NonNegative = Field(0.0, description="weight of the sum of squares, from 0; default 0")
    kl: NonNegative = Field(0.0, description="weight of the divergence of mean activities from target; default 0")
    target: Annotated[float, Field(strict=True, gt=0, lt=1)] = Field(
        0.05, description="mean activity that kl asks of each unit, between 0 and 1; default 0.05"
    )
