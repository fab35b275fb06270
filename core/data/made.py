"""Data sets that are drawn on demand: two numbers and a label, or a curve, from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.data.table import StoredColumn, narrowest

Floats = NDArray[np.float64]
Points = tuple[Floats, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number that a made set takes, with its bounds, both included."""

    default: int | float
    least: int | float
    greatest: int | float
    description: str


def parameters(noise: float, **more: Parameter) -> dict[str, Parameter]:
    """The parameters that every made set has, and its own."""
    return {
        "rows": Parameter(1000, 10, 1_000_000, "rows, an integer"),
        "noise": Parameter(noise, 0.0, 100.0, "standard deviation of the noise that is added to each coordinate"),
        "seed": Parameter(0, 0, 2**53 - 1, "seed of the draw, an integer"),
        **more,
    }


def make(name: str, values: Mapping[str, Any]) -> list[StoredColumn]:
    """The columns of the made set; the same name and values give the same numbers."""
    random = np.random.Generator(np.random.PCG64(int(values["seed"])))
    rows, noise = int(values["rows"]), float(values["noise"])
    if name == "sine":
        return _sine(random, rows, noise)
    classes = int(values.get("classes", 2))
    points, labels = _POINTS[name](random, rows, noise, classes)
    order = random.permutation(rows)
    points, labels = points[order], labels[order]
    return [
        StoredColumn("x1", "float", np.ascontiguousarray(points[:, 0])),
        StoredColumn("x2", "float", np.ascontiguousarray(points[:, 1])),
        StoredColumn("label", "integer", narrowest(labels)),
    ]


def _sine(random: Generator, rows: int, noise: float) -> list[StoredColumn]:
    """y = sin(x) + noise for x uniform in -pi to pi."""
    x = random.uniform(-np.pi, np.pi, rows)
    y = np.sin(x) + noise * random.standard_normal(rows)
    return [StoredColumn("x", "float", x), StoredColumn("y", "float", y)]


def _halves(rows: int) -> NDArray[np.int64]:
    return (np.arange(rows) >= rows // 2).astype(np.int64)


def _moons(random: Generator, rows: int, noise: float, classes: int) -> Points:
    """Two half circles that reach into each other, as scikit-learn's make_moons draws them."""
    del classes
    labels = _halves(rows)
    upper, lower = np.linspace(0, np.pi, rows // 2), np.linspace(0, np.pi, rows - rows // 2)
    points = np.vstack(
        [np.column_stack([np.cos(upper), np.sin(upper)]), np.column_stack([1 - np.cos(lower), 0.5 - np.sin(lower)])]
    )
    return points + noise * random.standard_normal(points.shape), labels


def _circles(random: Generator, rows: int, noise: float, classes: int) -> Points:
    """A circle of radius 1 (class 0) around one of radius 0.5 (class 1)."""
    del classes
    labels = _halves(rows)
    angle = random.uniform(0, 2 * np.pi, rows)
    points = np.where(labels == 1, 0.5, 1.0)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return points + noise * random.standard_normal(points.shape), labels


def _spirals(random: Generator, rows: int, noise: float, classes: int) -> Points:
    """Arms that wind one and a half times around the centre, one a class, radius 0 to 3."""
    labels = np.arange(rows) * classes // rows
    # the square root spreads the points evenly along the arm
    along = np.sqrt(random.uniform(0, 1, rows))
    angle = 3 * np.pi * along + 2 * np.pi * labels / classes
    points = 3 * along[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return points + noise * random.standard_normal(points.shape), labels


def _xor(random: Generator, rows: int, noise: float, classes: int) -> Points:
    """Points of a square, class 1 where one coordinate alone is above 0; noise is added after the class is known."""
    del classes
    points = random.uniform(-1, 1, (rows, 2))
    labels = ((points[:, 0] > 0) != (points[:, 1] > 0)).astype(np.int64)
    return points + noise * random.standard_normal(points.shape), labels


def _blobs(random: Generator, rows: int, noise: float, classes: int) -> Points:
    """One cloud a class, centres on a circle of radius 5."""
    labels = np.arange(rows) * classes // rows
    angle = 2 * np.pi * (labels / classes + 0.125)
    points = 5 * np.column_stack([np.cos(angle), np.sin(angle)])
    return points + noise * random.standard_normal(points.shape), labels


_POINTS: dict[str, Callable[[Generator, int, float, int], Points]] = {
    "moons": _moons,
    "circles": _circles,
    "spirals": _spirals,
    "xor": _xor,
    "blobs": _blobs,
}
