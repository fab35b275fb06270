"""Formulas over columns against Python's own arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from core.data.derive import _CALLS, evaluate
from core.spec.expressions import FUNCTIONS, parse_expression

COLUMNS = {"x": np.array([0.5, 2.0, 3.0]), "y": np.array([1.0, -4.0, np.nan]), "a b": np.array([1.0, 1.0, 1.0])}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x*x + 2*x - 1", [0.25, 7.0, 14.0]),
        ("-x ** 2", [-0.25, -4.0, -9.0]),
        ("2 ** -x", [2**-0.5, 0.25, 0.125]),
        ("hypot(x, y)", [math.hypot(0.5, 1), math.hypot(2, 4), math.nan]),
        ("atan2(y, x)", [math.atan2(1, 0.5), math.atan2(-4, 2), math.nan]),
        ("x > 1", [0, 1, 1]),
        ("y < 0", [0, 1, math.nan]),
        ("where(x > 1, sqrt(x), 0)", [0, math.sqrt(2), math.sqrt(3)]),
        ("where(y < 0, 1, 2)", [2, 1, math.nan]),
        ("min(x, 1, 0.7)", [0.5, 0.7, 0.7]),
        ("max(x, 1)", [1, 2, 3]),
        ("cos(pi) * `a b`", [-1, -1, -1]),
        ("3", [3, 3, 3]),
        ("1 / (x - 2)", [1 / -1.5, math.inf, 1]),
    ],
)
def test_a_formula_gives_its_value(text: str, expected: list[float]) -> None:
    value = evaluate(parse_expression(text), COLUMNS, 3)
    assert value.dtype == np.float64
    assert np.allclose(value, expected, equal_nan=True)


# math has no name for these, or gives integers
OWN: dict[str, Callable[[float], float]] = {"abs": abs, "sign": lambda x: math.copysign(x != 0, x), "round": round}
# where the function has a value on a part of the line alone
INSIDE: dict[str, Callable[[float], float]] = {"asin": math.tanh, "acos": math.tanh, "atanh": math.tanh}
INSIDE["acosh"] = math.cosh


@pytest.mark.parametrize("name", [name for name, count in FUNCTIONS.items() if count == (1, 1)])
def test_functions_of_one_number_are_the_usual_ones(name: str) -> None:
    reference = OWN.get(name) or getattr(math, name)
    x = [INSIDE.get(name, float)(value) for value in COLUMNS["x"]]
    value = evaluate(parse_expression(f"{name}(x)"), {"x": np.array(x)}, 3)
    assert np.allclose(value, [reference(value) for value in x])


def test_what_physicists_miss_elsewhere() -> None:
    """Pseudorapidity, an angle's difference, an invariant mass, a clipped value."""
    draw = np.random.default_rng(0)
    pt, px, pz = (np.abs(draw.normal(size=100)) + 0.1 for _ in range(3))
    phi1, phi2 = draw.uniform(-math.pi, math.pi, (2, 100))
    columns = {"pt": pt, "pz": pz, "phi1": phi1, "phi2": phi2, "px": px}

    def value(text: str) -> Any:
        return evaluate(parse_expression(text), columns, 100)

    assert np.allclose(value("asinh(pz / pt)"), -np.log(np.tan(np.arctan2(pt, pz) / 2)))
    difference = value("mod(phi1 - phi2 + pi, 2 * pi) - pi")
    assert np.abs(difference).max() <= math.pi
    assert np.allclose(np.exp(1j * difference), np.exp(1j * (phi1 - phi2)))
    mass = value("sqrt(2 * pt * px * (cosh(phi1) - cos(phi2 - phi1)))")
    assert np.allclose(mass, np.sqrt(2 * pt * px * (np.cosh(phi1) - np.cos(phi2 - phi1))))
    assert np.allclose(value("clip(phi1, -1, 1)"), np.clip(phi1, -1, 1))


def test_every_function_of_the_language_is_there() -> None:
    assert set(_CALLS) == set(FUNCTIONS)
