"""The history of a job in folds as one curve a name: the mean over the folds and a band of one deviation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, pstdev

from api.drawing import Row

Band = tuple[list[float], list[float], list[float]]


def over_folds(rows: Sequence[Row], folds: Sequence[int | None]) -> tuple[list[Row], dict[str, Band]]:
    """Rows of means, one an epoch, and for each name (epochs, mean - deviation, mean + deviation).

    Of several rows of one fold in an epoch the last counts; folds that ended early are left out of later means.
    """
    found: dict[tuple[int, str], dict[int | None, float]] = defaultdict(dict)
    for (epoch, _, values), fold in zip(rows, folds, strict=True):
        for name, value in values.items():
            if value is not None:
                found[epoch, name][fold] = value
    means: dict[int, dict[str, float | None]] = defaultdict(dict)
    bands: dict[str, Band] = defaultdict(lambda: ([], [], []))
    for epoch, name in sorted(found):
        each = list(found[epoch, name].values())
        mean, deviation = fmean(each), pstdev(each)
        means[epoch][name] = mean
        for part, number in zip(bands[name], (float(epoch), mean - deviation, mean + deviation), strict=True):
            part.append(number)
    return [(epoch, epoch, means[epoch]) for epoch in sorted(means)], dict(bands)
