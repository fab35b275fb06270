"""Kernel layers: units that answer to how near an input is to a centre."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field

from core.spec.base import Count, Shape
from core.spec.layer_types.basic import ToUnits


class RBF(ToUnits):
    """exp(-|x - c|^2 / (2 s^2)) for each unit's centre c and width s, Broomhead and Lowe 1988.

    Centres begin where k-means (k-means++ and Lloyd) finds them in what reaches the layer from the training rows,
    Moody and Darken 1989; each width as the mean distance to the two nearest other centres, or as the spread of the
    centre's own rows where that is larger. Widths are learnt as log s, so that they stay above 0.
    """

    nonlinear: ClassVar[bool] = True
    type: Literal["rbf"] = "rbf"
    units: Count = Field(description="centres, from 1")
    centres: Literal["data", "learnt"] = Field(
        "data", description="data: k-means finds them and they stay; learnt: they begin there and are learnt on"
    )

    def parameter_count(self, shape: Shape) -> int:
        return self.units * (1 + (math.prod(shape) if self.centres == "learnt" else 0))

    def flops(self, shape: Shape) -> int:
        """|x|^2 - 2 x c + |c|^2, and the exponential."""
        return (2 * shape[-1] + 6) * self.units + 2 * shape[-1]
