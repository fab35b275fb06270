"""Each sample brought to a scale of its own, before anything that is fitted: scikit-learn's Normalizer, and z-scores.

l1, l2 and max divide by the sum of the absolute values, the Euclidean length and the greatest absolute value;
standard takes the mean away and divides by the deviation. Missing values are left out of all of them, and a sample of
zeros, or of one value, keeps its scale.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.spec.base import Shape
from core.spec.layer_base import Signal

Floats = NDArray[np.float64]
_ROWS_AT_ONCE = 8192


def feature_axis(shape: Shape) -> int:
    """The axis of x (N, *shape) that has features or channels: layers read two axes by the same rule.

    1 for (F,), (C, H, W) and a signal of one channel (1, L), 2 for sequences (T, F).
    """
    return 2 if len(shape) == 2 and Signal(shape).meaning == "sequence" else 1


def sample_axes(shape: Shape) -> tuple[int, ...]:
    """The axes of x (N, *shape) that are normalised together: all but the first, of a sequence time alone."""
    if len(shape) == 2:
        return (3 - feature_axis(shape),)
    return tuple(range(1, len(shape) + 1))


def sample_scales(x: NDArray[Any], how: str) -> tuple[Floats, Floats]:
    """(shift, scale) of each sample of x (N, ...), with axes of one where they are shared: all but the first, for
    sequences time alone, so that every feature has its own.
    """
    axes = sample_axes(x.shape[1:])
    parts = [_scales(x[start : start + _ROWS_AT_ONCE], axes, how) for start in range(0, max(1, len(x)), _ROWS_AT_ONCE)]
    shifts, scales = zip(*parts, strict=True)
    return np.concatenate(shifts), np.concatenate(scales)


def _scales(x: NDArray[Any], axes: tuple[int, ...], how: str) -> tuple[Floats, Floats]:
    known = ~np.isnan(x)
    values = np.where(known, x, 0).astype(np.float64)
    count = np.maximum(known.sum(axis=axes, keepdims=True), 1)
    shift = np.zeros(count.shape)
    match how:
        case "l1":
            scale = np.abs(values).sum(axis=axes, keepdims=True)
        case "l2":
            scale = np.sqrt(np.square(values).sum(axis=axes, keepdims=True))
        case "max":
            scale = np.abs(values).max(axis=axes, keepdims=True)
        case _:
            shift = values.sum(axis=axes, keepdims=True) / count
            scale = np.sqrt((np.square(values - shift) * known).sum(axis=axes, keepdims=True) / count)
    return shift, np.where(scale > 1e-12 * np.abs(shift), scale, 1.0)


def entries(x: NDArray[Any], axis: int, how: str) -> Iterator[Floats]:
    """x[..., entry, ...] along `axis` in float64, normalised, one after another so that no copy of all is made."""
    own = None if how == "none" else sample_scales(x, how)
    for entry in range(x.shape[axis]):
        where = (slice(None),) * axis + (entry,)
        values = x[where].astype(np.float64)
        if own is not None:
            shift, scale = (part[(slice(None),) * axis + (min(entry, part.shape[axis] - 1),)] for part in own)
            values = (values - shift) / scale
        yield values


def normalized_cells(cells: Mapping[str, NDArray[Any]], names: Collection[str], how: str) -> dict[str, NDArray[Any]]:
    """The cells of a table, of which those of `names` are normalised together, row by row."""
    if how == "none" or not names:
        return dict(cells)
    shift, scale = sample_scales(np.column_stack([cells[name] for name in names]), how)
    return {**cells, **{name: (cells[name] - shift[:, 0]) / scale[:, 0] for name in names}}
