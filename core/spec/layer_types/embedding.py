"""Embedding: a learnt vector for each code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field

from core.spec.base import Count, Shape
from core.spec.inits import Init
from core.spec.layer_base import LayerBase, ShapeError, Signal


class Embedding(LayerBase):
    """Row x[t] of a learnt table for each whole number x[t] from 0, Bengio et al. 2003: (time) to (time, units)."""

    synonyms: ClassVar[Mapping[str, str]] = {
        "num_embeddings": "entries",
        "input_dim": "entries",
        "embedding_dim": "units",
        "output_dim": "units",
    }
    widths: ClassVar[tuple[str, ...]] = ("units",)
    type: Literal["embedding"] = "embedding"
    entries: Count = Field(description="rows of the table: codes are whole numbers from 0 up to entries - 1")
    units: Count = Field(description="values of each row, from 1")
    init: Init | None = Field(None, description="first values of the table; null: network.init, N(0, 1) by torch")

    def settled(self, signal: Signal) -> Self:
        if not signal.whole:
            raise ShapeError(
                "received values that layers before this one have computed, expected whole numbers as they stand in "
                "the data; do put embedding first",
                code="needs_codes",
            )
        return super().settled(signal)

    def passed(self, signal: Signal) -> Signal:
        return Signal(self.output_shape(signal.shape), "sequence")

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) == 1:
            return (*shape, self.units)
        if len(shape) == 2 and 1 in shape:
            return (max(shape), self.units)
        raise ShapeError(
            f"received an input of shape {list(shape)}, expected one axis of codes (time); do put "
            '{"type": "flatten"} before this layer',
            code="wrong_axes",
        )

    def parameter_count(self, shape: Shape) -> int:  # noqa: ARG002 - one table whatever the length
        return self.entries * self.units
