"""Embeddings of a table's categories, beside its numbers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from core.spec.base import ColumnName, Count, Shape, SpecModel
from core.spec.inits import Init
from core.spec.layer_base import LayerBase, ShapeError, Signal


class EmbeddedColumn(SpecModel):
    """One categorical column and its table of vectors."""

    column: ColumnName = Field(description="name of the column")
    units: Count | None = Field(
        None, description="values of each vector, from 1; null: half the entries, rounded down, 1 to 50"
    )
    index: Annotated[int, Field(strict=True, ge=0)] | None = Field(
        None, description="place of the column among the inputs; follows from the data, whatever is sent"
    )
    entries: Count | None = Field(
        None, description="categories, and one for what is missing or was not seen; follows from the data"
    )


class ColumnEmbedding(LayerBase):
    """(F,) inputs, some of them codes of categories, to the others and behind them a learnt vector for each code.

    Guo and Berkhahn 2016. The plan puts it in front when `data.preprocess.categorical` is embedding. The vector of what
    is missing, or was in no training row, begins with zeros.
    """

    type: Literal["column_embedding"] = "column_embedding"
    columns: Annotated[tuple[EmbeddedColumn, ...], Field(max_length=10_000)] = Field(
        (), description="columns whose width is to be another than the usual one; the plan adds the others"
    )
    init: Init | None = Field(None, description="first values of the vectors; null: network.init, N(0, 1) by torch")

    usual_most: ClassVar[int] = 50

    def settled(self, signal: Signal) -> Self:
        if signal.codes is None and self.columns and all(each.index is not None for each in self.columns):
            return self
        if not signal.codes:
            raise ShapeError(
                "received no codes of categories, expected some, as the data give them; do set "
                "data.preprocess.categorical to embedding and put this layer first, or leave it out",
                code="needs_codes",
            )
        known = [code.column for code in signal.codes]
        for place, each in enumerate(self.columns):
            if each.column not in known or each.column in (before.column for before in self.columns[:place]):
                raise ShapeError(
                    f"received {each.column!r}, expected each once of the columns that are embedded: "
                    f"{', '.join(known[:20])}; do choose among them",
                    code="unknown_column",
                    field=f"columns/{place}/column",
                )
        asked = {each.column: each.units for each in self.columns}
        columns = tuple(
            EmbeddedColumn(
                column=code.column,
                units=asked.get(code.column) or max(1, min(self.usual_most, code.entries // 2)),
                index=code.index,
                entries=code.entries,
            )
            for code in signal.codes
        )
        return self.model_copy(update={"columns": columns})

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise ShapeError(
                f"received an input of shape {list(shape)}, expected one axis of features; do put it first"
            )
        return (shape[0] - len(self.columns) + sum(each.units or 0 for each in self.columns),)

    def parameter_count(self, shape: Shape) -> int:  # noqa: ARG002 - the tables are the same whatever else comes in
        return sum((each.entries or 0) * (each.units or 0) for each in self.columns)
