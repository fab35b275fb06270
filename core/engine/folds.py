"""A run as one training, or as one a fold: where each stands in the whole, and what all of them come to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What one fold came to: figures of its best state on the rows it validates on and on the test rows.

    `value` is what its best state is judged by; `step` counts over the whole run. What is not finite is None.
    """

    epoch: int
    step: int
    value: float | None
    metrics: dict[str, float | None]
    early_stopped: bool
    warned: tuple[str, ...] = ()
    """Codes of what it and the folds before it warned of: the next ones do not say it again."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a training stands in its run. `fold` is None when it is the whole of it."""

    fold: int | None = None
    first_step: int = 0
    """Steps planned for the folds before, so that steps count upwards over the run also where one ended early."""
    steps: int | None = None
    """Steps planned for the whole run; None: this training's."""
    folds: int = 1
    earlier: tuple[FoldResult, ...] = ()

    def leads(self, value: float | None, *, upwards: bool) -> bool:
        """Whether a state of that value is better than the best of every fold before."""
        best = best_fold(self.earlier, upwards=upwards)
        known = None if best is None else self.earlier[best].value
        return known is None or (value is not None and (value > known if upwards else value < known))


class Course:
    """The trainings of a run; `planned` are the steps of each fold, empty for a run without folds."""

    def __init__(self, planned: Sequence[int]) -> None:
        self._planned = tuple(planned)

    @property
    def trainings(self) -> int:
        return len(self._planned) or 1

    def place(self, fold: int, earlier: Sequence[FoldResult]) -> Place:
        if not self._planned:
            return Place()
        first = list(accumulate(self._planned, initial=0))[fold]
        return Place(fold, first, sum(self._planned), len(self._planned), tuple(earlier))


def best_fold(results: Sequence[FoldResult], *, upwards: bool) -> int | None:
    """The fold with the best value, of equal ones the first; None where no value is known."""
    known = [(result.value, fold) for fold, result in enumerate(results) if result.value is not None]
    if not known:
        return None
    return min(known, key=lambda pair: (-pair[0] if upwards else pair[0], pair[1]))[1]


def summary(results: Sequence[FoldResult], best: int) -> dict[str, Any]:
    """Mean, standard deviation (of the k values themselves, n in the denominator) and values of each figure."""
    names = dict.fromkeys(name for result in results for name in result.metrics)
    figures = {name: _spread([result.metrics.get(name) for result in results]) for name in names}
    return {"count": len(results), "best": best, "metrics": figures}


def _spread(values: list[float | None]) -> dict[str, Any]:
    known = np.array([math.nan if value is None else value for value in values])
    finite = bool(np.isfinite(known).all())
    mean, std = (float(known.mean()), float(known.std())) if finite else (None, None)
    return {"mean": mean, "std": std, "values": values}
