"""Metrics as a table of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

FIXED = ("seq", "epoch", "step", "time")


class Table(dict[str, list[Any]]):
    """Columns by name, all equally long; a value that a row lacks, or that was not finite, is None."""

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Table:
        """The table of metrics rows: seq, epoch, step, time, then every metric in the order of its first appearance.

        A job in folds has a column `fold` as well.
        """
        rows = list(rows)
        names = dict.fromkeys(name for row in rows for name in row["values"])
        table = cls({name: [row.get(name) for row in rows] for name in FIXED})
        if any(row.get("fold") is not None for row in rows):
            table["fold"] = [row.get("fold") for row in rows]
        table.update({name: [row["values"].get(name) for row in rows] for name in names})
        return table

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(next(iter(self.values()), []))

    def rows(self) -> list[dict[str, Any]]:
        """The same as one dictionary a row."""
        return [dict(zip(self, values, strict=True)) for values in zip(*self.values(), strict=True)]

    def to_polars(self) -> Any:
        """A polars.DataFrame; needs polars, which this package does not bring."""
        return import_module("polars").DataFrame(dict(self))

    def to_pandas(self) -> Any:
        """A pandas.DataFrame; needs pandas, which this package does not bring."""
        return import_module("pandas").DataFrame(dict(self))
