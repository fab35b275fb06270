"""Rows and inputs as a client sends them, checked cell by cell, to arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import FieldError, Invalid

# faults listed in one answer
MOST_FAULTS = 100


Sent = Literal["number", "time"] | tuple[str, ...]
"""What a column's cells are: numbers, times as RFC 3339 texts, or texts among which these are known."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cells_of_rows(rows: list[Any], columns: Mapping[str, Sent], pointer: str) -> dict[str, NDArray[Any]]:
    """Cells by column: numbers, times in seconds since 1970, texts as codes. Invalid lists every bad cell."""
    faults = [
        FieldError(f"{pointer}/{number}", "bad_row", f"received {_seen(row)}, expected an object of column and value")
        for number, row in enumerate(rows)
        if not isinstance(row, dict)
    ]
    cells: dict[str, NDArray[Any]] = {}
    for name, sent in columns.items() if not faults else ():
        absent = [number for number, row in enumerate(rows) if name not in row]
        if absent:
            faults += [
                FieldError(_pointer(pointer, number, name), "missing_column", f"no value for {name!r}; null if unknown")
                for number in absent[:MOST_FAULTS]
            ]
            continue
        values = [row[name] for row in rows]
        if sent == "number":
            cells[name] = _numbers(values, name, pointer, faults)
        elif sent == "time":
            cells[name] = _times(values, name, pointer, faults)
        else:
            cells[name] = _codes(values, name, sent, pointer, faults)
    if faults:
        raise Invalid(f"{len(faults)} value(s) cannot be used", errors=faults[:MOST_FAULTS])
    return cells


def rows_of_inputs(inputs: list[Any], columns: tuple[str, ...], pointer: str = "/inputs") -> list[dict[str, Any]]:
    """Dictionaries from lists that hold the columns' values in order; nesting (an image's axes) is taken off."""
    rows, faults = [], []
    for number, values in enumerate(inputs):
        flat = _flat(values)
        if len(flat) == len(columns):
            rows.append(dict(zip(columns, flat, strict=True)))
        else:
            detail = f"received {len(flat)} values, expected {len(columns)}: {', '.join(columns[:20])}"
            faults.append(FieldError(f"{pointer}/{number}", "bad_input", detail))
    if faults:
        raise Invalid(f"{len(faults)} input(s) do not fit", errors=faults[:MOST_FAULTS])
    return rows


def array_of_inputs(inputs: list[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(N, *shape) from nested lists of numbers, null as NaN; Invalid names every input that is not of `shape`."""
    try:
        array = np.array(inputs)
        if array.shape == (len(inputs), *shape) and array.dtype.kind in "fiu" and np.isfinite(array).all():
            return array.astype(np.float64)
    except (ValueError, OverflowError):
        # ragged; found below, with its place
        pass
    result = np.empty((len(inputs), *shape))
    faults = []
    for number, values in enumerate(inputs):
        # a set of single numbers may leave out the axis
        nested = [values] if shape == (1,) and not isinstance(values, list) else values
        problem = _fill(nested, result[number], shape)
        if problem:
            faults.append(FieldError(f"/inputs/{number}", "bad_input", f"{problem}, expected the shape {list(shape)}"))
    if faults:
        raise Invalid(f"{len(faults)} input(s) do not fit", errors=faults[:MOST_FAULTS])
    return result


def _fill(values: Any, out: NDArray[np.float64], shape: tuple[int, ...]) -> str | None:
    """Writes nested lists into `out`; says what is wrong with them, if anything."""
    if not isinstance(values, list) or len(values) != shape[0]:
        return f"received {_seen(values)} where a list of {shape[0]} belongs"
    if len(shape) > 1:
        return next((problem for i in range(shape[0]) if (problem := _fill(values[i], out[i], shape[1:]))), None)
    for i, value in enumerate(values):
        number = _number(value)
        if number is None:
            return f"received {_seen(value)} where a number or null belongs"
        out[i] = number
    return None


def _numbers(values: list[Any], name: str, pointer: str, faults: list[FieldError]) -> NDArray[np.float64]:
    if set(map(type, values)) <= {float}:
        return np.array(values, dtype=np.float64)
    numbers = [_number(value) for value in values]
    faults += [
        FieldError(
            _pointer(pointer, row, name), "bad_value", f"received {_seen(values[row])}, expected a number or null"
        )
        for row, number in enumerate(numbers)
        if number is None
    ]
    return np.array([math.nan if number is None else number for number in numbers])


def _number(value: Any) -> float | None:
    """The number, NaN for null; None for what is no finite number."""
    if value is None:
        return math.nan
    if not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _times(values: list[Any], name: str, pointer: str, faults: list[FieldError]) -> NDArray[np.float64]:
    seconds = [_seconds(value) for value in values]
    wanted = "expected a time such as 2024-05-01T12:00:00Z, or null"
    faults += [
        FieldError(_pointer(pointer, row, name), "bad_value", f"received {_seen(values[row])}, {wanted}")
        for row, time in enumerate(seconds)
        if time is None
    ]
    return np.array([math.nan if time is None else time for time in seconds])


def _seconds(value: Any) -> float | None:
    """Seconds since 1970 of a date or time, in UTC unless it says otherwise; NaN for null, None for what is none."""
    if value is None:
        return math.nan
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value.strip())
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        return None


def _codes(
    values: list[Any], name: str, categories: tuple[str, ...], pointer: str, faults: list[FieldError]
) -> NDArray[np.int64]:
    faults += [
        FieldError(_pointer(pointer, row, name), "bad_value", f"received {_seen(value)}, expected a text or null")
        for row, value in enumerate(values)
        if value is not None and not isinstance(value, str)
    ]
    known = {category: code for code, category in enumerate(categories)}
    return np.array([known.get(value, -1) if isinstance(value, str) else -1 for value in values], dtype=np.int64)


def _flat(values: Any) -> list[Any]:
    if not isinstance(values, list):
        return [values]
    if not any(isinstance(value, list) for value in values):
        return values
    return [item for value in values for item in _flat(value)]


def _pointer(pointer: str, row: int, name: str) -> str:
    return f"{pointer}/{row}/{name.replace('~', '~0').replace('/', '~1')}"


def _seen(value: Any) -> str:
    """What was received, short enough for a message."""
    if isinstance(value, (list, dict)):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    return repr(value) if len(repr(value)) <= 50 else repr(value)[:50] + "…"
