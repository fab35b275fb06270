"""What a run trains on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.preparation import Preparation
from core.data.split import Rows
from core.data.windows import as_slice
from core.events import Warned

Array = NDArray[Any]
Floats = NDArray[np.float64]

LINE_BYTES = 64
"""Matrix products round by where in such a line of memory their rows begin."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run trains on. N rows are left after those without a target were dropped.

    `x` (N, *shape) is in the spec's precision. `y` is (N,) int64 class numbers, (N, targets) numbers in that precision
    (scaled if asked; `preparation.unscale_target` undoes it), or None for a reconstruction, whose target is `x`.
    `weight` is (N,) event weights or None. `train`, `validation` and `test` are row numbers, sorted.
    """

    x: Array
    y: Array | None
    weight: Array | None
    train: Rows
    validation: Rows
    test: Rows
    preparation: Preparation
    dropped_rows: int
    warnings: tuple[Warned, ...]
    target_width: Floats | None = None
    """(targets,) deviations of a regression's targets in the training rows, in their own unit: scaled metrics' unit."""
    anomaly: NDArray[np.bool_] | None = None
    """(N,) which rows the label of a reconstruction calls anomalies."""


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one part in their order, n of them: `x`, `y`, `weight` and `anomaly` as those of `Prepared`."""

    x: Array
    y: Array | None
    weight: Array | None
    anomaly: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True)
class Parts:
    """`Prepared`, its rows dealt out to the parts; one without rows is None.

    Each array begins with a line of memory, wherever it came from, so that a network's outputs have the same bits
    for it. Windows are views of one array.
    """

    train: Part
    validation: Part | None
    test: Part | None
    preparation: Preparation
    dropped_rows: int
    warnings: tuple[Warned, ...]
    target_width: Floats | None = None

    @property
    def present(self) -> tuple[Part, ...]:
        """Those that have rows."""
        return tuple(part for part in (self.train, self.validation, self.test) if part is not None)


def parts_of(prepared: Prepared) -> Parts:
    """The rows of each part, taken out of the whole."""
    train = _part(prepared, prepared.train)
    assert train is not None, "a split without training rows is refused before"
    return Parts(
        train,
        _part(prepared, prepared.validation),
        _part(prepared, prepared.test),
        prepared.preparation,
        prepared.dropped_rows,
        prepared.warnings,
        prepared.target_width,
    )


def _part(prepared: Prepared, numbers: Rows) -> Part | None:
    if not len(numbers):
        return None

    def rows(values: Array | None) -> Any:
        return None if values is None else _taken(values, numbers, are_windows=prepared.preparation.window is not None)

    return Part(rows(prepared.x), rows(prepared.y), rows(prepared.weight), rows(prepared.anomaly))


def _taken(values: Array, numbers: Rows, *, are_windows: bool) -> Array:
    if are_windows:
        # they overlap: what can stay a view of the rows is not copied out of them
        return np.asarray(values[as_slice(numbers)])
    out = in_lines((len(numbers), *values.shape[1:]), values.dtype)
    # all numbers are rows; only with this mode it writes where it is told to
    return np.take(values, numbers, axis=0, out=out, mode="clip")


def in_lines(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array without values that begins with a line of memory."""
    num_bytes = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(num_bytes + LINE_BYTES, np.uint8)
    begin = -raw.ctypes.data % LINE_BYTES
    return raw[begin : begin + num_bytes].view(dtype).reshape(shape)
