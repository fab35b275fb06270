"""What a run trains on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.preparation import Preparation
from core.data.split import Rows
from core.events import Warned

Array = NDArray[Any]
Floats = NDArray[np.float64]


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
