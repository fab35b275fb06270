"""Between a network's inputs and the units that the user knows; and which inputs belong to one feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from core.data.original import original
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
