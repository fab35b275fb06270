"""Arrays as they were sent to arrays as they are stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data.caps import bad_data
from core.data.describe import MAX_CATEGORIES
from core.data.table import SPLIT_CODES, Array


def channels_in_front(x: Array, channels: str) -> tuple[Array, list[str]]:
    """Images (N, C, H, W) of what has its channels `first` or `last`, and a note when `first` looks wrong."""
    if channels == "first":
        looks_last = x.ndim == 4 and x.shape[3] in (1, 3, 4) and x.shape[1] > x.shape[3] < x.shape[2]
        note = f"x has the shape {x.shape}: if the last axis is that of channels, upload with channels=last"
        return x, [note] if looks_last else []
    if x.ndim != 4:
        raise bad_data(f"array 'x' has the shape {x.shape}, expected (N, H, W, C) for channels=last")
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), []


def canonical(arrays: dict[str, Array]) -> tuple[dict[str, Array], list[Any] | None]:
    """The arrays in stored form, and the categories that codes in `y` stand for; raises what does not fit together."""
    x = arrays["x"]
    rows = len(x) if x.ndim else 0
    for name, array in arrays.items():
        if not array.ndim or len(array) != rows:
            raise bad_data(f"array {name!r} has the shape {array.shape}, expected {rows:,} rows as in x")
    stored: dict[str, Array] = {"x": _x(x)}
    categories = None
    if "y" in arrays:
        stored["y"], categories = _y(arrays["y"])
    if "weight" in arrays:
        stored["weight"] = _weight(arrays["weight"])
    if "split" in arrays:
        stored["split"] = _split(arrays["split"])
    return stored, categories


def _x(x: Array) -> Array:
    if x.dtype.kind in "SU":
        raise bad_data("array 'x' holds texts, expected numbers", "send a table as CSV instead")
    if x.dtype.kind == "b":
        x = x.astype(np.uint8)
    elif x.dtype == np.float16:
        x = x.astype(np.float32)
    _check_finite("x", x)
    return x[:, None] if x.ndim == 1 else x


def _y(y: Array) -> tuple[Array, list[Any] | None]:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim > 2:
        raise bad_data(f"array 'y' has the shape {y.shape}, expected (N,) or (N, targets)")
    if y.dtype.kind in "fiu":
        _check_finite("y", y)
        return y.astype(np.float64 if y.dtype.kind == "f" else np.int64), None
    if y.ndim != 1:
        raise bad_data(f"array 'y' holds {y.dtype.name} in the shape {y.shape}, expected (N,) for classes")
    if y.dtype.kind == "b":
        return y.astype(np.int64), [False, True]
    return _coded(_texts("y", y))


def _coded(texts: list[str]) -> tuple[Array, list[Any]]:
    distinct = sorted(set(texts) - {""})
    if not 0 < len(distinct) <= MAX_CATEGORIES:
        raise bad_data(f"array 'y' holds {len(distinct):,} different texts, expected 1 to {MAX_CATEGORIES:,} classes")
    codes = {text: code for code, text in enumerate(distinct)}
    return np.array([codes.get(text, -1) for text in texts], dtype=np.int64), distinct


def _texts(name: str, array: Array) -> list[str]:
    try:
        return [text.decode() if isinstance(text, bytes) else str(text) for text in array.tolist()]
    except (UnicodeDecodeError, ValueError) as fault:
        raise bad_data(f"array {name!r} holds bytes that are not UTF-8 text") from fault


def _weight(weight: Array) -> Array:
    if weight.ndim == 2 and weight.shape[1] == 1:
        weight = weight[:, 0]
    if weight.ndim != 1 or weight.dtype.kind not in "fiu":
        raise bad_data(f"array 'weight' is {weight.dtype.name} of shape {weight.shape}, expected numbers of shape (N,)")
    _check_finite("weight", weight)
    return weight.astype(np.float64)


def _split(split: Array) -> Array:
    if split.ndim != 1 or split.dtype.kind not in "iuSU":
        raise bad_data(
            f"array 'split' is {split.dtype.name} of shape {split.shape}, expected train, validation or test a row"
        )
    if split.dtype.kind in "iu":
        values, codes = np.unique(split, return_inverse=True)
        known = [int(value) if value in (0, 1, 2) else -1 for value in values.tolist()]
    else:
        values, codes = np.unique(split, return_inverse=True)
        known = [SPLIT_CODES.get(text.strip().lower(), -1) for text in _texts("split", values)]
    if -1 in known:
        received = values[known.index(-1)]
        raise bad_data(
            f"array 'split' holds {str(received)[:100]!r}, expected 'train', 'validation' or 'test' (or 0, 1, 2)"
        )
    return np.array(known, dtype=np.int8)[codes]


def _check_finite(name: str, array: Array) -> None:
    """Infinity is refused; NaN stands for a missing value."""
    if array.dtype.kind != "f":
        return
    for start in range(0, len(array), 65_536):
        infinite = np.isinf(array[start : start + 65_536]).reshape(len(array[start : start + 65_536]), -1).any(axis=1)
        if infinite.any():
            raise bad_data(f"array {name!r} holds an infinite number in row {start + int(infinite.argmax()) + 1}")
