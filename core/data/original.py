"""From what a network sees back to what the user knows: preprocessing undone."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.preparation import Feature, Preparation

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # written as UTC below

Array = NDArray[Any]


def original(x: Array, preparation: Preparation) -> Array:
    """(N, *shape) network inputs, or reconstructions of them, in their own units; float64.

    Columns that are not scaled (one-hot ones among them) stay what they are, and so does what each sample was
    normalised by, which nothing remembers.
    """
    x = x.astype(np.float64)
    if preparation.array is not None:
        scaling = preparation.array
        place = [1] * x.ndim
        if x.ndim <= scaling.axis or x.shape[scaling.axis] != len(scaling.scale):
            return x
        place[scaling.axis] = len(scaling.scale)
        return np.asarray(x * np.reshape(scaling.scale, place) + np.reshape(scaling.shift, place))
    shift, scale = flat_scales(preparation)
    if math.prod(x.shape[1:]) == len(scale):
        return np.asarray((x.reshape(len(x), -1) * scale + shift).reshape(x.shape))
    # windows of a table: its columns are the last axis
    return np.asarray(x * scale + shift) if x.shape[-1] == len(scale) else x


def flat_scales(preparation: Preparation) -> tuple[Array, Array]:
    """(shift, scale) of each number of a flat sample of a table; 0 and 1 where it is not scaled.

    What stands behind a feature's first number (one-hot columns, places on cycles, indicators) is not.
    """
    shift = np.concatenate([[f.shift, *[0.0] * (f.width - 1)] for f in preparation.features])
    scale = np.concatenate([[f.scale, *[1.0] * (f.width - 1)] for f in preparation.features])
    return shift, scale


def rows_of(x: Array, preparation: Preparation) -> list[dict[str, Any]]:
    """A dictionary of feature to value for each sample of a table, as a row is sent; derived features are there too."""
    values = original(x, preparation).reshape(len(x), -1)
    columns: dict[str, list[Any]] = {}
    place = 0
    for feature in preparation.features:
        columns[feature.name] = _values(feature, values[:, place : place + feature.width])
        place += feature.width
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _values(feature: Feature, numbers: Array) -> list[Any]:
    """What the numbers of a feature (N, width) mean: of a category the greatest column, of a boolean the nearer one."""
    first = numbers[:, 0].tolist()
    match feature.kind:
        case "category":
            # one that no training row had is never what the network means
            places = np.where(feature.seen, numbers, -np.inf).argmax(1)
            return [_category(feature, place) for place in places.tolist()]
        case "code":
            return [_category(feature, round(value)) if math.isfinite(value) else None for value in first]
        case "boolean":
            return [value >= 0.5 for value in first]
        case "date":
            return [_time(value) for value in first]
    return [value if math.isfinite(value) else None for value in first]


def _category(feature: Feature, place: int) -> str | int | None:
    if not 0 <= place < len(feature.categories):
        return None
    return int(feature.categories[place]) if feature.integers else feature.categories[place]


def _time(days: float) -> str | None:
    """RFC 3339 of days since 1970; None beyond the years 1 to 9999."""
    try:
        return f"{_EPOCH + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError):
        return None
