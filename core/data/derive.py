"""Derived columns: a formula's tree over arrays. The formulas are read by `core.spec.expressions`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from core.spec.expressions import Binary, Call, Expression, Name, Negate, Number

Floats = NDArray[np.float64]

_BINARY: dict[str, Callable[[Floats, Floats], NDArray[np.generic]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})
_CALLS: dict[str, Callable[..., Floats]] = {
    "sqrt": np.sqrt,
    "abs": np.abs,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "exp": np.exp,
    "expm1": np.expm1,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "sign": np.sign,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "mod": np.mod,
    "min": lambda *values: reduce(np.minimum, values),
    "max": lambda *values: reduce(np.maximum, values),
    "clip": lambda value, low, high: np.minimum(np.maximum(value, low), high),
    "where": lambda condition, a, b: np.where(np.isnan(condition), np.nan, np.where(condition != 0, a, b)),
}


def evaluate(expression: Expression, columns: Mapping[str, Floats], rows: int) -> Floats:
    """(rows,) the expression's value in float64, NaN where a column that decides it is missing.

    Comparisons give 1 or 0. What has no finite value (log of -1, 1/0) comes out as NaN or infinity: the caller
    decides what that means.
    """
    with np.errstate(all="ignore"):
        value = _value(expression, columns)
    return np.array(np.broadcast_to(value, (rows,)), dtype=np.float64)


def _value(expression: Expression, columns: Mapping[str, Floats]) -> Floats:
    match expression:
        case Number(value=value):
            return np.float64(value)  # type: ignore[return-value]  # a scalar broadcasts like an array
        case Name(name=name):
            return columns[name]
        case Negate(operand=operand):
            return -_value(operand, columns)
        case Binary(operator=operator, left=left, right=right):
            a, b = _value(left, columns), _value(right, columns)
            result = _BINARY[operator](a, b).astype(np.float64)
            # NumPy says that NaN < 1 is false; here a missing value stays missing
            return np.where(np.isnan(a) | np.isnan(b), np.nan, result) if operator in _COMPARISONS else result
        case Call(function=function, arguments=arguments):
            return _CALLS[function](*(_value(argument, columns) for argument in arguments))
