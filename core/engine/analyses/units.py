"""Between a network's inputs and the units that the user knows; and which inputs belong to one feature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.preparation import Preparation

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Group:
    """The inputs `first` to `last` (left out) of the last axis of a flat or windowed row: a table's feature."""

    name: str
    first: int
    last: int


def groups(preparation: Preparation) -> list[Group]:
    """The features of a table with the inputs that each of them has, one-hot ones together; nothing for arrays."""
    found, place = [], 0
    for feature in preparation.features:
        found.append(Group(feature.name, place, place + feature.width))
        place += feature.width
    return found


def original(x: Array, preparation: Preparation) -> Array:
    """(N, *shape) network inputs, or reconstructions of them, in their own units; float64.

    Columns that are not scaled (one-hot ones among them) stay what they are.
    """
    x = x.astype(np.float64)
    if preparation.array is not None:
        scaling = preparation.array
        place = [1] * x.ndim
        if x.ndim <= scaling.axis or x.shape[scaling.axis] != len(scaling.scale):
            return x
        place[scaling.axis] = len(scaling.scale)
        return np.asarray(x * np.reshape(scaling.scale, place) + np.reshape(scaling.shift, place))
    # what stands behind a feature's first number (one-hot columns, places on cycles, indicators) is not scaled
    shift = np.concatenate([[f.shift, *[0.0] * (f.width - 1)] for f in preparation.features])
    scale = np.concatenate([[f.scale, *[1.0] * (f.width - 1)] for f in preparation.features])
    if math.prod(x.shape[1:]) == len(scale):
        return np.asarray((x.reshape(len(x), -1) * scale + shift).reshape(x.shape))
    # windows of a table: its columns are the last axis
    return np.asarray(x * scale + shift) if x.shape[-1] == len(scale) else x


def flat_numbers(x: Array, preparation: Preparation) -> dict[str, Array]:
    """(N,) values in their own units of each feature of a flat row that is one number, by its name.

    A feature of an array has its place as its name: `0`, `1`.
    """
    values = original(x, preparation).reshape(len(x), -1)
    if preparation.kind == "arrays":
        return {str(index): values[:, index] for index in range(values.shape[1])}
    return {
        group.name: values[:, group.first]
        for group, feature in zip(groups(preparation), preparation.features, strict=True)
        if feature.kind == "number"
    }
