"""Windows over rows in time order: which there are, and views of them that copy nothing.

Legend: R rows of all series, one series behind the other and each in time order; L length, H horizon, F features, C
columns to predict; window s has the inputs s..s+L-1 and the targets s+L..s+L+H-1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from numpy.typing import NDArray

Array = NDArray[Any]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """L and H, as they are stored with a model."""

    length: int
    horizon: int

    @property
    def rows(self) -> int:
        return self.length + self.horizon


def window_starts(
    parts: NDArray[np.int8],
    series: Rows,
    unusable: NDArray[np.bool_],
    window: TimeWindow,
    *,
    stride: int,
    looks_back: bool,
) -> tuple[Rows, Rows, Rows]:
    """The windows s of training, validation and test, each sorted.

    A window is of the part that all its targets are of; none of them is `unusable`, and none crosses series. Its inputs
    are of the same part, but where it `looks_back` those of validation and test are whatever comes before.
    """
    starts = np.arange(max(0, len(parts) - window.rows + 1), dtype=np.int64)
    starts = starts[series[starts] == series[starts + window.rows - 1]]
    first_target, end = starts + window.length, starts + window.rows
    usable = _among(unusable, first_target, end) == 0
    found = []
    for part in (0, 1, 2):
        here = parts == part
        right = usable & (_among(here, first_target, end) == window.horizon)
        if part == 0 or not looks_back:
            right &= _among(here, starts, first_target) == window.length
        found.append(_every(starts[right], series, stride))
    return found[0], found[1], found[2]


def _among(rows: NDArray[np.bool_], first: Rows, end: Rows) -> Rows:
    """How many of the rows first..end-1 are marked."""
    before = np.r_[0, np.cumsum(rows)]
    return np.asarray(before[end] - before[first])


def _every(starts: Rows, series: Rows, stride: int) -> Rows:
    """Those whose distance from the first of their series is a multiple of the stride."""
    if stride == 1 or not len(starts):
        return starts
    _, place, which = np.unique(series[starts], return_index=True, return_inverse=True)
    return np.asarray(starts[(starts - starts[place][which]) % stride == 0])


def inputs_of(x: Array, window: TimeWindow) -> Array:
    """(R - L - H + 1, L, F) of rows (R, F): a view, entry s the inputs of window s."""
    windows = sliding_window_view(x, window.length, axis=0, writeable=True).transpose(0, 2, 1)
    return windows[: max(0, len(x) - window.rows + 1)]


def targets_of(y: Array, window: TimeWindow) -> Array:
    """(R - L - H + 1, H * C) of rows (R, C): a view, entry s the targets of window s, row after row."""
    y = np.ascontiguousarray(y)
    count, columns = max(0, len(y) - window.rows + 1), y.shape[1]
    strides = (columns * y.itemsize, y.itemsize)
    return as_strided(y[window.length :], (count, window.horizon * columns), strides)


def as_slice(index: Rows) -> slice | Rows:
    """The same entries as a slice where they are evenly spaced, so that taking them copies nothing."""
    if len(index) < 2:
        return index
    steps = np.diff(index)
    even = int(steps[0])
    return slice(int(index[0]), int(index[-1]) + 1, even) if (steps == even).all() else index
