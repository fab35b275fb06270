"""What a data set holds while it is in memory: the columns of a table, or arrays; and how that is kept and told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from core.data.describe import Facts, describe_arrays, describe_table
from core.data.table import Array, StoredColumn, write_arrays, write_table

Described = tuple[Facts, Facts, list[Facts]]


class Contents(Protocol):
    """A table or arrays."""

    def write(self, path: Path) -> None:
        """The one file that it is stored in; the same contents give the same bytes."""

    def describe(self) -> Described:
        """(schema, profile, preview), plain JSON values."""


@dataclass(frozen=True, slots=True)
class TableContents:
    """Encoded columns of equal length."""

    columns: list[StoredColumn]

    def write(self, path: Path) -> None:
        write_table(path, self.columns)

    def describe(self) -> Described:
        return describe_table(self.columns)


@dataclass(frozen=True, slots=True)
class ArrayContents:
    """Arrays in stored form, `categories` being what codes in `y` stand for."""

    arrays: Mapping[str, Array]
    categories: list[Any] | None = None

    def write(self, path: Path) -> None:
        write_arrays(path, self.arrays)

    def describe(self) -> Described:
        return describe_arrays(self.arrays, self.categories)
