"""What a data set is, as it stands in the database: names, types and sizes, never the values of rows."""

from __future__ import annotations

from typing import Literal

from core.spec.base import Shape, SpecModel

Category = bool | int | str
"""One class of a target or one value of a categorical feature, as the user wrote it."""

ColumnType = Literal["float", "integer", "boolean", "string", "datetime"]


class Column(SpecModel):
    """One column of a table. `distinct` is None above 10,000 values.

    `categories` are sorted, at most 1,000; `counts` are the rows of each. `resolution` of times is `day` when all are
    whole days.
    """

    name: str
    type: ColumnType
    missing: int = 0
    distinct: int | None = None
    categories: tuple[Category, ...] | None = None
    counts: tuple[int, ...] | None = None
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    resolution: Literal["day", "time"] | None = None


class ArrayInfo(SpecModel):
    """One array of an .npz; `shape` is without the row axis."""

    name: Literal["x", "y", "weight", "split"]
    shape: Shape
    dtype: str
    categories: tuple[Category, ...] | None = None
    counts: tuple[int, ...] | None = None
    missing: int = 0


class DatasetSchema(SpecModel):
    """A table of columns or a set of arrays. The defaults are set by built-in sets alone."""

    kind: Literal["table", "arrays"]
    rows: int
    columns: tuple[Column, ...] = ()
    arrays: tuple[ArrayInfo, ...] = ()
    default_target: str | None = None
    default_weight: str | None = None
    default_split: str | None = None

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def array(self, name: str) -> ArrayInfo | None:
        return next((array for array in self.arrays if array.name == name), None)
