"""Formulas over columns against Python's own arithmetic."""

from __future__ import annotations

import math

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


@pytest.mark.parametrize("name", [name for name, count in FUNCTIONS.items() if count == (1, 1)])
def test_functions_of_one_number_are_the_usual_ones(name: str) -> None:
    reference = abs if name == "abs" else getattr(math, name)
    value = evaluate(parse_expression(f"{name}(x)"), COLUMNS, 3)
    assert np.allclose(value, [reference(x) for x in COLUMNS["x"]])


def test_every_function_of_the_language_is_there() -> None:
    assert set(_CALLS) == set(FUNCTIONS)
