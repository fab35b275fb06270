"""Surfaces that optimizers are compared on: plain functions of x and y with their gradients written out.

Rosenbrock 1960, Beale 1958, Himmelblau 1972; bowl, ravine and saddle (bounded, so that it has minima) are our own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

SurfaceName = Literal["rosenbrock", "beale", "himmelblau", "saddle", "ravine", "quadratic"]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Surface:
    """f(x, y) and (df/dx, df/dy), its minima, where a comparison begins, and the part of the plane that is shown."""

    formula: str
    value: Callable[[float, float], float]
    gradient: Callable[[float, float], Point]
    minima: tuple[Point, ...]
    minimum: float
    start: Point
    x: Point
    y: Point


# products in place of powers: beyond a double they are infinite, where a power of Python's raises
def _rosenbrock(x: float, y: float) -> float:
    a, b = 1 - x, y - x * x
    return a * a + 100 * b * b


def _rosenbrock_gradient(x: float, y: float) -> Point:
    b = y - x * x
    return -2 * (1 - x) - 400 * x * b, 200 * b


def _beale_terms(x: float, y: float) -> tuple[float, float, float]:
    return 1.5 - x + x * y, 2.25 - x + x * y * y, 2.625 - x + x * y * y * y


def _beale(x: float, y: float) -> float:
    a, b, c = _beale_terms(x, y)
    return a * a + b * b + c * c


def _beale_gradient(x: float, y: float) -> Point:
    a, b, c = _beale_terms(x, y)
    dx = 2 * a * (y - 1) + 2 * b * (y * y - 1) + 2 * c * (y * y * y - 1)
    return dx, 2 * a * x + 4 * b * x * y + 6 * c * x * y * y


def _himmelblau(x: float, y: float) -> float:
    a, b = x * x + y - 11, x + y * y - 7
    return a * a + b * b


def _himmelblau_gradient(x: float, y: float) -> Point:
    a, b = x * x + y - 11, x + y * y - 7
    return 4 * x * a + 2 * b, 2 * a + 4 * y * b


def _saddle(x: float, y: float) -> float:
    return x * x - y * y + y * y * y * y / 4


def _saddle_gradient(x: float, y: float) -> Point:
    return 2 * x, -2 * y + y * y * y


def _ravine(x: float, y: float) -> float:
    return (x * x + 100 * y * y) / 2


def _ravine_gradient(x: float, y: float) -> Point:
    return x, 100 * y


def _quadratic(x: float, y: float) -> float:
    return (x * x + 4 * y * y) / 2


def _quadratic_gradient(x: float, y: float) -> Point:
    return x, 4 * y


_HIMMELBLAU_MINIMA = (
    (3.0, 2.0),
    (-2.805118086952745, 3.131312518250573),
    (-3.779310253377747, -3.283185991286170),
    (3.584428340330492, -1.848126526964404),
)
_ROOT_2 = 2**0.5

SURFACES: dict[str, Surface] = {
    "rosenbrock": Surface(
        "(1 - x)^2 + 100 (y - x^2)^2",
        _rosenbrock,
        _rosenbrock_gradient,
        minima=((1.0, 1.0),),
        minimum=0.0,
        start=(-1.5, 2.0),
        x=(-2.0, 2.0),
        y=(-1.0, 3.0),
    ),
    "beale": Surface(
        "(1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2",
        _beale,
        _beale_gradient,
        minima=((3.0, 0.5),),
        minimum=0.0,
        start=(1.0, 1.5),
        x=(-1.0, 4.5),
        y=(-1.5, 2.5),
    ),
    "himmelblau": Surface(
        "(x^2 + y - 11)^2 + (x + y^2 - 7)^2",
        _himmelblau,
        _himmelblau_gradient,
        minima=_HIMMELBLAU_MINIMA,
        minimum=0.0,
        start=(-0.5, -1.0),
        x=(-5.5, 5.5),
        y=(-5.5, 5.5),
    ),
    "saddle": Surface(
        "x^2 - y^2 + y^4/4",
        _saddle,
        _saddle_gradient,
        minima=((0.0, _ROOT_2), (0.0, -_ROOT_2)),
        minimum=-1.0,
        start=(1.5, 0.001),
        x=(-2.0, 2.0),
        y=(-2.2, 2.2),
    ),
    "ravine": Surface(
        "(x^2 + 100 y^2)/2",
        _ravine,
        _ravine_gradient,
        minima=((0.0, 0.0),),
        minimum=0.0,
        start=(-9.0, 1.0),
        x=(-10.0, 10.0),
        y=(-1.6, 1.6),
    ),
    "quadratic": Surface(
        "(x^2 + 4 y^2)/2",
        _quadratic,
        _quadratic_gradient,
        minima=((0.0, 0.0),),
        minimum=0.0,
        start=(-4.0, 3.0),
        x=(-5.0, 5.0),
        y=(-4.0, 4.0),
    ),
}
