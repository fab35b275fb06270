"""How rows become the numbers a network sees: fitted on the training rows, stored with the model, used ever after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from core.data.derive import Floats, evaluate
from core.data.incoming import Sent, array_of_inputs, cells_of_rows, rows_of_inputs
from core.data.normalize import entries, normalized_cells
from core.data.windows import TimeWindow
from core.errors import FieldError, Invalid
from core.spec.dataset import Category
from core.spec.encoding import CYCLES, DAY_S, FeatureKind
from core.spec.expressions import names_in, parse_expression

Normalize = Literal["none", "l1", "l2", "max", "standard"]
Cells = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of a table. A number becomes (value - shift) / scale, `fill` where it is missing (None: refused).

    A category becomes one column of 0 and 1 for each of `categories`; one that no training row had is all zeros,
    so that nothing about other rows leaks into the network; so is a missing one. A code is the category's place, or
    their number for what is missing or was not seen. A date becomes `parts`: days since 1970 scaled as a number, and
    points on cycles, which are (0, 0) where it is missing. With `indicator` one more column is 1 where the value is
    missing, provided that training rows had `gaps`.
    """

    name: str
    kind: FeatureKind
    fill: float | None = None
    shift: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] = ()
    seen: tuple[bool, ...] = ()
    # the categories are whole numbers, and rows send them so
    integers: bool = False
    parts: tuple[str, ...] = ()
    indicator: bool = False
    gaps: bool = False

    @property
    def width(self) -> int:
        return len(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each number that the feature becomes."""
        if self.kind == "category":
            return tuple(f"{self.name}={value}" for value in self.categories)
        names = tuple(f"{self.name}:{part}" for part in self.parts) or (self.name,)
        return (*names, f"{self.name}:missing") if self.indicator else names


@dataclass(frozen=True, slots=True)
class ArrayScaling:
    """How the values of `x` are scaled: one entry a feature of (N, F) and (N, T, F), a channel of (N, C, H, W).

    `normalize` is what is done to each sample before.
    """

    axis: int
    fill: tuple[float | None, ...]
    shift: tuple[float, ...]
    scale: tuple[float, ...]
    normalize: Normalize = "none"


@dataclass(frozen=True, slots=True)
class Preparation:
    """All that was fitted. `shape` is that of one sample, `target_shift` and `target_scale` undo a scaled target.

    `normalize` is what is done to the numbers of each row of a table before they are scaled.
    """

    kind: Literal["table", "arrays"]
    shape: tuple[int, ...]
    features: tuple[Feature, ...] = ()
    derive: Mapping[str, str] | None = None
    array: ArrayScaling | None = None
    targets: tuple[str, ...] = ()
    classes: tuple[Category, ...] | None = None
    target_shift: tuple[float, ...] | None = None
    target_scale: tuple[float, ...] | None = None
    precision: Literal["float32", "float64"] = "float32"
    normalize: Normalize = "none"
    window: TimeWindow | None = None
    """Of a forecast, whose sample is `shape[0]` rows in time order."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a row for prediction must have: features in order, then what derived ones read besides."""
        derived = self.derive or {}
        needed = dict.fromkeys(feature.name for feature in self.features if feature.name not in derived)
        for text in derived.values():
            needed |= dict.fromkeys(name for name in sorted(names_in(_parsed(text))) if name not in derived)
        return tuple(needed)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """A name for each number of a flat sample of a table: `age`, `colour=red`."""
        return tuple(name for feature in self.features for name in feature.names)

    @property
    def width(self) -> int:
        """Numbers that one row becomes."""
        return sum(feature.width for feature in self.features)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The features that are normalised together: numbers, derived ones among them, no booleans."""
        return tuple(feature.name for feature in self.features if feature.kind == "number")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, from which `from_json` makes the same preparation."""
        data: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Preparation:
        """The preparation that `to_json` wrote; pydantic's ValidationError for anything else."""
        return _ADAPTER.validate_python(dict(data))

    def rows_to_x(self, rows: list[dict[str, Any]]) -> NDArray[Any]:
        """(N, *shape) from dictionaries of column to value; Invalid names every bad cell, as `/rows/3/age`."""
        if self.kind == "arrays":
            raise Invalid(
                "this network was trained on arrays: send 'inputs', not 'rows'",
                errors=[FieldError("/rows", "unexpected_field", f"expected inputs of shape {list(self.shape)}")],
            )
        if self.window is not None:
            return self._last_window(rows, self.window)
        return self._encode_rows(rows, "/rows")

    def _last_window(self, rows: list[dict[str, Any]], window: TimeWindow) -> NDArray[Any]:
        """(1, L, F) of the last rows; those before were history enough to be sent, and are not looked at."""
        if len(rows) < window.length:
            detail = (
                f"received {len(rows)} row(s), expected {window.length} or more in time order: what to forecast from"
            )
            raise Invalid(detail, errors=[FieldError("/rows", "too_few_rows", detail)])
        return self._encode_rows(rows, "/rows")[None, -window.length :]

    def inputs_to_x(self, inputs: list[Any]) -> NDArray[Any]:
        """(N, *shape) from nested lists; for a table each input holds the values of `columns` in order.

        Invalid names every input that does not fit, as `/inputs/3`.
        """
        if self.window is not None:
            return self._windows(inputs, self.window)
        if self.kind == "table":
            return self._encode_rows(rows_of_inputs(inputs, self.columns), "/inputs")
        x = array_of_inputs(inputs, self.shape)
        assert self.array is not None
        if None in self.array.fill and (unfit := np.isnan(x).reshape(len(x), -1).any(axis=1)).any():
            raise Invalid(
                "missing values, which this network was not trained to fill in",
                errors=[
                    FieldError(f"/inputs/{row}", "missing_value", "received null, expected a number")
                    for row in np.flatnonzero(unfit)[:100].tolist()
                ],
            )
        return scale_array(x, self.array, self.precision)

    def _windows(self, inputs: list[Any], window: TimeWindow) -> NDArray[Any]:
        """(N, L, F) of windows of `length` rows, each the values of `columns` in order."""
        x = np.empty((len(inputs), *self.shape), dtype=self.precision)
        for number, rows in enumerate(inputs):
            where = f"/inputs/{number}"
            if not isinstance(rows, list) or len(rows) != window.length:
                seen = f"a list of {len(rows)}" if isinstance(rows, list) else "no list"
                detail = f"received {seen}, expected {window.length} rows of {len(self.columns)} values in time order"
                raise Invalid(detail, errors=[FieldError(where, "bad_input", detail)])
            x[number] = self._encode_rows(rows_of_inputs(rows, self.columns, where), where)
        return x

    def unscale_target(self, y: NDArray[Any]) -> NDArray[Any]:
        """(N, T) in the target's own unit again."""
        if self.target_shift is None or self.target_scale is None:
            return y
        scale, shift = self.target_unit(y.shape[1])
        return np.asarray(y * scale.astype(y.dtype) + shift.astype(y.dtype))

    def target_unit(self, outputs: int) -> tuple[Floats, Floats]:
        """(scale, shift) of each output; a forecast has the columns again for every row of its horizon."""
        assert self.target_scale is not None
        assert self.target_shift is not None
        times = outputs // len(self.target_scale)
        return np.tile(self.target_scale, times), np.tile(self.target_shift, times)

    def encode(self, cells: Mapping[str, Cells], rows: int) -> NDArray[Any]:
        """(rows, *shape) from cells by feature: numbers with NaN where missing, codes into `categories` or -1."""
        x = np.empty((rows, self.width), dtype=self.precision)
        place = 0
        cells = normalized_cells(cells, self.numbers, self.normalize)
        for feature in self.features:
            encode_feature(feature, cells[feature.name], x[:, place : place + feature.width])
            place += feature.width
        return x if self.window is not None else x.reshape(rows, *self.shape)

    def _encode_rows(self, rows: list[Any], pointer: str) -> NDArray[Any]:
        features = {feature.name: feature for feature in self.features}
        cells = cells_of_rows(rows, {name: _sent_as(features.get(name)) for name in self.columns}, pointer)
        faults: list[FieldError] = []
        for name, text in (self.derive or {}).items():
            value = cells[name] = derived(text, cells, len(rows))
            faults += _unfit_rows(np.isinf(value), f"{pointer}/{{}}", "not_finite", f"{name} = {text} is not finite")
        for feature in self.features:
            if feature.kind not in ("category", "code") and feature.fill is None:
                detail = f"{feature.name} is missing, and this network was not trained to fill it in"
                faults += _unfit_rows(np.isnan(cells[feature.name]), f"{pointer}/{{}}", "missing_value", detail)
        if faults:
            raise Invalid(f"{len(faults)} value(s) cannot be used", errors=faults[:100])
        return self.encode(cells, len(rows))


_ADAPTER = TypeAdapter(Preparation)


# a polynomial has hundreds of formulas, which every prediction reads again
_parsed = lru_cache(maxsize=4096)(parse_expression)


def derived(text: str, cells: Mapping[str, Cells], rows: int) -> Floats:
    """(rows,) a derived column; what has no value although all that it reads has one comes out as infinity."""
    expression = _parsed(text)
    value = evaluate(expression, cells, rows)
    known = np.ones(rows, dtype=bool)
    for name in names_in(expression):
        known &= ~np.isnan(cells[name])
    value[known & np.isnan(value)] = np.inf
    return value


def _sent_as(feature: Feature | None) -> Sent:
    """How rows send a column: a number, a time, or one of texts."""
    if feature is None or feature.integers:
        return "number"
    if feature.kind in ("category", "code"):
        return feature.categories
    return "time" if feature.kind == "date" else "number"


def category_codes(feature: Feature, cells: Cells) -> NDArray[np.int64]:
    """(N,) places among the feature's categories, -1 for what is none of them or missing."""
    if not feature.integers:
        return cells.astype(np.int64)
    values = np.array([int(category) for category in feature.categories], dtype=np.float64)
    places = np.minimum(np.searchsorted(values, cells), len(values) - 1)
    return np.where(values[places] == cells, places, -1)


def encode_feature(feature: Feature, cells: Cells, out: NDArray[Any]) -> None:
    """Writes the feature's numbers into `out` of shape (N, width)."""
    if feature.kind in ("category", "code"):
        _encode_category(feature, category_codes(feature, cells), out)
        return
    is_date = feature.kind == "date"
    values = ((cells / DAY_S if is_date else cells) - feature.shift) / feature.scale
    missing = np.isnan(cells)
    if feature.fill is not None:
        values[missing] = (feature.fill - feature.shift) / feature.scale
    out[:, 0] = values
    for place, part in enumerate(feature.parts[1:], start=1):
        out[:, place] = np.where(missing, 0.0, _on_cycle(cells, part))
    if feature.indicator:
        out[:, -1] = missing & feature.gaps


def _encode_category(feature: Feature, codes: NDArray[np.int64], out: NDArray[Any]) -> None:
    known = (codes >= 0) & np.append(feature.seen, False)[codes]
    if feature.kind == "code":
        out[:, 0] = np.where(known, codes, len(feature.categories))
        return
    out[:] = 0
    rows = np.flatnonzero(known)
    out[rows, codes[rows]] = 1


def _on_cycle(seconds: Floats, part: str) -> Floats:
    """Sine or cosine of a time's place in a day, a week (from Monday) or a year."""
    cycle, wave = part.split("_")
    period, start = CYCLES[cycle]
    angle = 2 * np.pi * np.mod(seconds - start, period) / period
    return np.asarray(np.sin(angle) if wave == "sin" else np.cos(angle))


def scale_array(x: NDArray[Any], scaling: ArrayScaling, precision: str) -> NDArray[Any]:
    """(N, *shape) scaled and filled in, in `precision`; entry by entry, so that no float64 copy of all is made."""
    scaled = np.empty(x.shape, dtype=precision)
    fitted = zip(scaling.fill, scaling.shift, scaling.scale, strict=True)
    given = entries(x, scaling.axis, scaling.normalize)
    for entry, ((fill, shift, scale), cells) in enumerate(zip(fitted, given, strict=True)):
        where = (slice(None),) * scaling.axis + (entry,)
        values = (cells - shift) / scale
        if fill is not None and x.dtype.kind == "f":
            values[np.isnan(values)] = (fill - shift) / scale
        scaled[where] = values
    return scaled


def _unfit_rows(unfit: NDArray[np.bool_], pointer: str, code: str, detail: str) -> list[FieldError]:
    return [FieldError(pointer.format(row), code, detail) for row in np.flatnonzero(unfit)[:100].tolist()]
