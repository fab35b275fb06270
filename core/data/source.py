"""A stored data set, asked for targets, keys, weights and features by name: a table's columns or arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.fit import fit_array, fit_feature, fit_number, share_scales
from core.data.normalize import normalized_cells
from core.data.preparation import Cells, Feature, Preparation, derived, scale_array
from core.data.split import Rows, data_error
from core.data.table import SPLIT_CODES, StoredColumn, StoredTable, read_arrays
from core.spec.data import PreprocessSpec
from core.spec.dataset import Category, Column, DatasetSchema
from core.spec.encoding import kind_of
from core.spec.features import polynomial_formulas
from core.spec.job import JobSpec

Array = NDArray[Any]
Floats = NDArray[np.float64]


class Source(ABC):
    """What `prepare` asks, whatever the data set's form. Names that do not exist raise data_error."""

    @abstractmethod
    def classes(self, name: str) -> tuple[Category, ...]:
        """The categories of a target, sorted."""

    @abstractmethod
    def class_numbers(self, name: str) -> Rows:
        """(N,) positions in `classes`, -1 where missing."""

    @abstractmethod
    def numbers(self, names: tuple[str, ...]) -> Floats:
        """(N, columns) values of numeric columns, NaN where missing; of arrays (N, targets)."""

    @abstractmethod
    def keys(self, name: str, pointer: str) -> Array:
        """(N,) values to group or to sort by; data_error when one is missing."""

    @abstractmethod
    def parts(self, name: str) -> NDArray[np.int8]:
        """(N,) 0 for train, 1 for validation, 2 for test."""

    @abstractmethod
    def fit(self, spec: JobSpec, keep: Rows | None, train: Rows) -> tuple[Preparation, Array]:
        """The preparation, fitted on the rows `train` of those kept, and `x` of all that are kept."""


class TableSource(Source):
    """A table; columns are read from the file as they are asked for."""

    def __init__(self, path: Path, schema: DatasetSchema) -> None:
        self._table, self._schema = StoredTable(path), schema

    def _column(self, name: str, pointer: str, *, with_texts: bool = False) -> StoredColumn:
        if self._schema.column(name) is None:
            raise data_error(f"the data set has no column {name!r}", pointer)
        return self._table.column(name, with_texts=with_texts)

    def classes(self, name: str) -> tuple[Category, ...]:
        column = self._schema.column(name)
        if column is None or not column.categories:
            raise data_error(f"column {name!r} does not name classes (at most 1,000 values)", "/data/target")
        return column.categories

    def class_numbers(self, name: str) -> Rows:
        column = self._column(name, "/data/target")
        if column.type == "string":
            return column.values.astype(np.int64)
        return _positions(column.values, column.missing, self.classes(name))

    def numbers(self, names: tuple[str, ...]) -> Floats:
        return np.column_stack([self._cells(name, "/data/target") for name in names])

    def keys(self, name: str, pointer: str) -> Array:
        column = self._column(name, pointer)
        missing = int(column.missing.sum())
        if missing:
            raise data_error(f"column {name!r} is missing in {missing} row(s), which then belong to no part", pointer)
        return column.values

    def parts(self, name: str) -> NDArray[np.int8]:
        pointer = "/data/split/column"
        column = self._column(name, pointer, with_texts=True)
        if column.type == "string":
            known = [SPLIT_CODES.get(text.strip().lower(), -1) for text in column.texts]
            # the last place is that of the code -1, a missing cell
            parts = np.array([*known, -1], dtype=np.int8)[column.values]
        elif column.type == "integer":
            parts = np.where(np.isin(column.values, (0, 1, 2)), column.values, -1).astype(np.int8)
        else:
            raise data_error(f"column {name!r} holds {column.type}, expected train, validation or test", pointer)
        if (parts < 0).any():
            row = int((parts < 0).argmax())
            raise data_error(f"column {name!r}, row {row + 1}: expected train, validation or test", pointer)
        return parts

    def fit(self, spec: JobSpec, keep: Rows | None, train: Rows) -> tuple[Preparation, Array]:
        data = spec.data
        listed = tuple(dict.fromkeys((*(data.features or ()), *data.derive)))
        formulas = {**data.derive, **polynomial_formulas(data, self._schema, listed)}
        names = tuple(dict.fromkeys((*listed, *formulas)))
        raw = Preparation("table", (), tuple(Feature(name, "number") for name in names), formulas)
        cells: dict[str, Cells] = {}
        for name in raw.columns:
            values = self._cells(name, "/data/features", times=data.preprocess.dates == "parts")
            cells[name] = values if keep is None else values[keep]
        for name, text in formulas.items():
            cells[name] = derived(text, cells, len(next(iter(cells.values()))))
            if (infinite := np.isinf(cells[name])).any():
                row = int(infinite.argmax())
                place = f"derive/{name.replace('~', '~0').replace('/', '~1')}" if name in data.derive else "polynomial"
                raise data_error(
                    f"{name} = {text} is not finite in {int(infinite.sum())} row(s), first in row {row + 1}",
                    f"/data/{place}",
                )
        numbers = [name for name in names if name in formulas or self._is_number(name, data.preprocess)]
        own = normalized_cells(cells, numbers, data.preprocess.normalize)
        preprocess = data.preprocess
        features = tuple(
            fit_number(name, own[name], train, preprocess)
            if name in formulas
            else fit_feature(self._column_info(name), own[name], train, preprocess)
            for name in names
        )
        shape = data.input_shape or (sum(feature.width for feature in features),)
        features = share_scales(features, own, train, preprocess.scale, shape)
        preparation = Preparation(
            "table",
            shape,
            features,
            formulas or None,
            precision=spec.training.dtype,
            normalize=data.preprocess.normalize,
        )
        return preparation, preparation.encode(cells, len(next(iter(cells.values()))))

    def _cells(self, name: str, pointer: str, *, times: bool = False) -> Array:
        """Numbers, booleans, times (seconds since 1970) as float64 with NaN where missing, texts as codes with -1."""
        column = self._column(name, pointer)
        if column.type == "datetime" and not times:
            raise data_error(f"column {name!r} holds times, expected numbers, booleans or texts", pointer)
        if column.type == "string":
            return column.values.astype(np.int64)
        values = column.values.astype(np.float64)
        if column.type in ("boolean", "datetime"):
            values[column.missing] = np.nan
        return values / 1e6 if column.type == "datetime" else values

    def _is_number(self, name: str, preprocess: PreprocessSpec) -> bool:
        column = self._schema.column(name)
        return column is not None and kind_of(column, preprocess) == "number"

    def _column_info(self, name: str) -> Column:
        column = self._schema.column(name)
        assert column is not None, "its cells were read"
        return column


class ArraySource(Source):
    """Arrays `x`, `y`, `weight`, `split`."""

    def __init__(self, path: Path, schema: DatasetSchema) -> None:
        self._arrays, self._schema = read_arrays(path), schema

    def _array(self, name: str, pointer: str) -> Array:
        if name not in self._arrays:
            raise data_error(f"the data set has no array {name!r}", pointer)
        return self._arrays[name]

    def classes(self, name: str) -> tuple[Category, ...]:
        info = self._schema.array(name)
        if info is None or not info.categories:
            raise data_error(f"array {name!r} does not name classes (whole numbers or texts)", "/data/target")
        return info.categories

    def class_numbers(self, name: str) -> Rows:
        y, classes = self._array(name, "/data/target"), self.classes(name)
        if isinstance(classes[0], (str, bool)):
            return y.astype(np.int64)
        return _positions(y, np.isnan(y) if y.dtype.kind == "f" else np.zeros(len(y), dtype=bool), classes)

    def numbers(self, names: tuple[str, ...]) -> Floats:
        (name,) = names
        values = self._array(name, "/data/target").astype(np.float64)
        return values[:, None] if values.ndim == 1 else values

    def keys(self, name: str, pointer: str) -> Array:
        raise data_error(
            f"arrays have no column {name!r} to group or sort by", pointer, "send a table, or a 'split' array"
        )

    def parts(self, name: str) -> NDArray[np.int8]:
        return self._array(name, "/data/split/column").astype(np.int8)

    def fit(self, spec: JobSpec, keep: Rows | None, train: Rows) -> tuple[Preparation, Array]:
        x = self._arrays["x"] if keep is None else self._arrays["x"][keep]
        shape = spec.data.input_shape or x.shape[1:]
        scaling = fit_array(x, train, spec.data.preprocess)
        preparation = Preparation("arrays", tuple(shape), array=scaling, precision=spec.training.dtype)
        return preparation, scale_array(x, scaling, spec.training.dtype)


def _positions(values: Array, missing: NDArray[np.bool_], classes: tuple[Category, ...]) -> Rows:
    numbers = np.array([int(category) for category in classes], dtype=np.int64)
    positions = np.searchsorted(numbers, np.where(missing, numbers[0], values).astype(np.int64))
    return np.where(missing, -1, positions).astype(np.int64)
