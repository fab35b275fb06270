"""Data sets that are made on demand: two numbers and a label, or a curve, from a seed; and Anscombe's four."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.data.contents import Contents, TableContents
from core.data.made_series import seasonal, waves
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
    """The parameters that every drawn set has, and its own, which may be one of those within other bounds."""
    return {
        "rows": Parameter(1000, 10, 1_000_000, "rows, an integer"),
        "noise": Parameter(noise, 0.0, 100.0, "standard deviation of the noise that is added to each coordinate"),
        "seed": Parameter(0, 0, 2**53 - 1, "seed of the draw, an integer"),
        **more,
    }


def make(name: str, values: Mapping[str, Any]) -> Contents:
    """The contents of the made set; the same name and values give the same numbers."""
    if name == "anscombe":
        return _anscombe(int(values["number"]))
    random = np.random.Generator(np.random.PCG64(int(values["seed"])))
    if name in _SERIES:
        return _SERIES[name](random, values)
    rows, noise = int(values["rows"]), float(values["noise"])
    if name in _CURVES:
        return _curve(random, rows, noise, *_CURVES[name])
    classes = int(values.get("classes", 2))
    points, labels = _POINTS[name](random, rows, noise, classes)
    order = random.permutation(rows)
    points, labels = points[order], labels[order]
    return TableContents(
        [
            StoredColumn("x1", "float", np.ascontiguousarray(points[:, 0])),
            StoredColumn("x2", "float", np.ascontiguousarray(points[:, 1])),
            StoredColumn("label", "integer", narrowest(labels)),
        ]
    )


def _curve(
    random: Generator, rows: int, noise: float, half_width: float, curve: Callable[[Floats], Floats]
) -> TableContents:
    """y = curve(x) + noise for x uniform from -half_width to half_width."""
    x = random.uniform(-half_width, half_width, rows)
    y = curve(x) + noise * random.standard_normal(rows)
    return TableContents([StoredColumn("x", "float", x), StoredColumn("y", "float", y)])


def _anscombe(number: int) -> TableContents:
    """Set I, II, III or IV as printed in F. J. Anscombe (1973), Graphs in Statistical Analysis."""
    first, second = _ANSCOMBE[number - 1]
    return TableContents([StoredColumn("x", "float", np.array(first)), StoredColumn("y", "float", np.array(second))])


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

_CURVES: dict[str, tuple[float, Callable[[Floats], Floats]]] = {
    "sine": (np.pi, np.sin),
    "abs": (1.0, np.abs),
    "step": (1.0, lambda x: (x > 0).astype(np.float64)),
}
_SERIES: dict[str, Callable[[Generator, Mapping[str, Any]], Contents]] = {"waves": waves, "seasonal": seasonal}

_X = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0]
_ANSCOMBE = (
    (_X, [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]),
    (_X, [9.14, 8.14, 8.74, 8.77, 9.26, 8.10, 6.13, 3.10, 9.13, 7.26, 4.74]),
    (_X, [7.46, 6.77, 12.74, 7.11, 7.81, 8.84, 6.08, 5.39, 8.15, 6.42, 5.73]),
    (
        [8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 19.0, 8.0, 8.0, 8.0],
        [6.58, 5.76, 7.71, 8.84, 8.47, 7.04, 5.25, 12.50, 5.56, 7.91, 6.89],
    ),
)
