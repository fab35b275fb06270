"""A data set in memory, and the one file it is stored in.

The file is safetensors, read without a copy by NumPy alone: the process that trains is forked from one
that must own a single thread, and importing Polars starts three. A table has one tensor a column, `values.<i>`:

    float     float64 (float32 where the source was), NaN where missing
    integer   the narrowest signed integer that holds it; float64 with NaN when a value is missing
    boolean   int8: 0, 1, and -1 where missing
    string    int32 codes into the sorted distinct texts, -1 where missing; the texts stand beside them,
              UTF-8 in `texts.<i>`, ends in bytes in `ends.<i>`
    datetime  int64, microseconds since 1970 in UTC, the smallest int64 where missing

Arrays have the tensors `x`, `y`, `weight` and `split` (0 train, 1 validation, 2 test); a `y` of texts or booleans
is stored as int64 codes into the categories of its schema, -1 where missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

ColumnType = Literal["float", "integer", "boolean", "string", "datetime"]
Array = NDArray[Any]

NO_TIME = int(np.iinfo(np.int64).min)
SPLITS = ("train", "validation", "test")
SPLIT_CODES = {"train": 0, "training": 0, "validation": 1, "valid": 1, "val": 1, "test": 2, "testing": 2}


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """One column, its values encoded as the module says; `texts` belong to strings alone."""

    name: str
    type: ColumnType
    values: Array
    texts: tuple[str, ...] = ()

    @property
    def missing(self) -> NDArray[np.bool_]:
        """(N,) True where the cell is empty."""
        if self.values.dtype.kind == "f":
            return np.isnan(self.values)
        if self.type == "datetime":
            return np.asarray(self.values == NO_TIME)
        if self.type in ("boolean", "string"):
            return np.asarray(self.values < 0)
        return np.zeros(len(self.values), dtype=bool)


def narrowest(values: Array) -> Array:
    """The same integers in the smallest signed type that holds them."""
    if len(values) == 0:
        return values.astype(np.int8)
    low, high = int(values.min()), int(values.max())
    for dtype in (np.int8, np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return values.astype(dtype)
    return values.astype(np.int64)


def write_table(path: Path, columns: list[StoredColumn]) -> None:
    """Writes the columns; the same columns give the same bytes."""
    tensors: dict[str, Array] = {}
    for index, column in enumerate(columns):
        tensors[f"values.{index}"] = np.ascontiguousarray(column.values)
        if column.type == "string":
            encoded = [text.encode() for text in column.texts]
            tensors[f"texts.{index}"] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
            tensors[f"ends.{index}"] = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    header = [{"name": column.name, "type": column.type} for column in columns]
    save_file(tensors, path, metadata={"netmill": json.dumps({"kind": "table", "columns": header})})


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes `x` and what stands beside it; the same arrays give the same bytes."""
    tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(tensors, path, metadata={"netmill": json.dumps({"kind": "arrays"})})


class StoredTable:
    """A stored table that reads a column when it is asked for it."""

    def __init__(self, path: Path) -> None:
        # typed Any: safetensors' own types stop at the constructor
        opener: Any = safe_open
        self._file = opener(path, framework="np")
        header = json.loads(self._file.metadata()["netmill"])
        self._places: dict[str, tuple[int, ColumnType]] = {
            column["name"]: (index, column["type"]) for index, column in enumerate(header["columns"])
        }

    def __iter__(self) -> Iterator[StoredColumn]:
        return (self.column(name) for name in self._places)

    def column(self, name: str, *, with_texts: bool = True) -> StoredColumn:
        """The column of that name; KeyError when there is none. `with_texts=False` spares reading long dictionaries."""
        index, kind = self._places[name]
        texts: tuple[str, ...] = ()
        if kind == "string" and with_texts:
            blob, ends = bytes(self._file.get_tensor(f"texts.{index}")), self._file.get_tensor(f"ends.{index}")
            starts = [0, *ends.tolist()]
            texts = tuple(blob[a:b].decode() for a, b in zip(starts, ends.tolist(), strict=False))
        return StoredColumn(name, kind, self._file.get_tensor(f"values.{index}"), texts)


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a stored file, by name."""
    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # a safe_open is no mapping
