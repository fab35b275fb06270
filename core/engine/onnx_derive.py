"""Derived columns as ONNX nodes: the same arithmetic as `core.data.derive`, in double."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from core.engine.onnx_nodes import DOUBLE, FLOAT, Nodes
from core.spec.expressions import Binary, Call, Expression, Name, Negate, Number

_ARITHMETIC = {"+": "Add", "-": "Sub", "*": "Mul", "/": "Div", "**": "Pow"}
_COMPARISONS = {"<": "Less", "<=": "LessOrEqual", ">": "Greater", ">=": "GreaterOrEqual", "==": "Equal", "!=": "Equal"}
_DIRECT = {
    "sqrt": "Sqrt",
    "abs": "Abs",
    "log": "Log",
    "exp": "Exp",
    "sin": "Sin",
    "cos": "Cos",
    "tanh": "Tanh",
    "floor": "Floor",
    "ceil": "Ceil",
    "round": "Round",
    "sign": "Sign",
}


def expression(nodes: Nodes, tree: Expression, values: Mapping[str, str]) -> str:
    """(N, 1) double: a derived column as `core.data.derive` has it."""
    match tree:
        case Number(value=value):
            return nodes.constant(value)
        case Name(name=name):
            return values[name]
        case Negate(operand=operand):
            return nodes.add("Neg", expression(nodes, operand, values))
        case Binary(operator=operator, left=left, right=right):
            a, b = expression(nodes, left, values), expression(nodes, right, values)
            if operator in _ARITHMETIC:
                return nodes.add(_ARITHMETIC[operator], a, b)
            holds = nodes.add(_COMPARISONS[operator], a, b)
            if operator == "!=":
                holds = nodes.add("Not", holds)
            return nodes.where_missing([a, b], nodes.constant(np.nan), nodes.cast(holds, DOUBLE))
        case Call(function=function, arguments=arguments):
            return _call(nodes, function, [expression(nodes, argument, values) for argument in arguments])


def _call(nodes: Nodes, function: str, a: list[str]) -> str:
    """A function; those that runtimes lack in double are put together from others."""
    return nodes.add(_DIRECT[function], *a) if function in _DIRECT else _COMPOSED[function](nodes, *a)


def _log1p(nodes: Nodes, a: str) -> str:
    return nodes.add("Log", nodes.add("Add", a, nodes.constant(1.0)))


def _log_of(base: float) -> Callable[[Nodes, str], str]:
    def function(nodes: Nodes, a: str) -> str:
        return nodes.add("Div", nodes.add("Log", a), nodes.constant(math.log(base)))

    return function


def _expm1(nodes: Nodes, a: str) -> str:
    """2 sinh(a/2) exp(a/2), which subtracts no equals."""
    half = nodes.add("Div", a, nodes.constant(2.0))
    return nodes.add("Mul", nodes.add("Mul", nodes.constant(2.0), _sinh(nodes, half)), nodes.add("Exp", half))


def _other_leg(nodes: Nodes, a: str) -> str:
    """sqrt(1 - a^2)."""
    return nodes.add("Sqrt", nodes.add("Sub", nodes.constant(1.0), nodes.add("Mul", a, a)))


def _asin(nodes: Nodes, a: str) -> str:
    return _atan2(nodes, a, _other_leg(nodes, a))


def _acos(nodes: Nodes, a: str) -> str:
    return _atan2(nodes, _other_leg(nodes, a), a)


def _atan(nodes: Nodes, a: str) -> str:
    # all of the value's shape: branches of a Where must be no scalars
    return _atan2(nodes, a, nodes.add("Add", nodes.add("Mul", a, nodes.constant(0.0)), nodes.constant(1.0)))


def _asinh(nodes: Nodes, a: str) -> str:
    """sign(a) log(|a| + sqrt(a^2 + 1))."""
    size = nodes.add("Abs", a)
    root = nodes.add("Sqrt", nodes.add("Add", nodes.add("Mul", a, a), nodes.constant(1.0)))
    return nodes.add("Mul", nodes.add("Sign", a), nodes.add("Log", nodes.add("Add", size, root)))


def _acosh(nodes: Nodes, a: str) -> str:
    """log(a + sqrt(a - 1) sqrt(a + 1)), which has no value below 1."""
    one = nodes.constant(1.0)
    below, above = nodes.add("Sqrt", nodes.add("Sub", a, one)), nodes.add("Sqrt", nodes.add("Add", a, one))
    return nodes.add("Log", nodes.add("Add", a, nodes.add("Mul", below, above)))


def _atanh(nodes: Nodes, a: str) -> str:
    one = nodes.constant(1.0)
    ratio = nodes.add("Div", nodes.add("Add", one, a), nodes.add("Sub", one, a))
    return nodes.add("Div", nodes.add("Log", ratio), nodes.constant(2.0))


def _mod(nodes: Nodes, a: str, b: str) -> str:
    """a - b floor(a/b), of the sign of b."""
    whole = nodes.add("Floor", nodes.add("Div", a, b))
    return nodes.add("Sub", a, nodes.add("Mul", b, whole))


def _clip(nodes: Nodes, a: str, low: str, high: str) -> str:
    return _extreme("Min")(nodes, _extreme("Max")(nodes, a, low), high)


def _tan(nodes: Nodes, a: str) -> str:
    return nodes.add("Div", nodes.add("Sin", a), nodes.add("Cos", a))


def _hyperbolic(op: str) -> Callable[[Nodes, str], str]:
    def function(nodes: Nodes, a: str) -> str:
        both = nodes.add(op, nodes.add("Exp", a), nodes.add("Exp", nodes.add("Neg", a)))
        return nodes.add("Div", both, nodes.constant(2.0))

    return function


_sinh, _cosh = _hyperbolic("Sub"), _hyperbolic("Add")


def _hypot(nodes: Nodes, a: str, b: str) -> str:
    return nodes.add("Sqrt", nodes.add("Add", nodes.add("Mul", a, a), nodes.add("Mul", b, b)))


def _extreme(op: str) -> Callable[..., str]:
    def function(nodes: Nodes, *a: str) -> str:
        return nodes.where_missing(a, nodes.constant(np.nan), nodes.add(op, *a))

    return function


def _where(nodes: Nodes, condition: str, a: str, b: str) -> str:
    chosen = nodes.add("Where", nodes.add("Equal", condition, nodes.constant(0.0)), b, a)
    return nodes.where_missing([condition], nodes.constant(np.nan), chosen)


def _atan2(nodes: Nodes, y: str, x: str) -> str:
    """2 atan(y/(r + x)), and pi where y is 0 and x below (r + x is then 0); runtimes have Atan in float32 alone."""
    r = _hypot(nodes, x, y)
    zero, pi = nodes.constant(0.0), nodes.constant(np.pi)
    # of the two forms of the half angle the one that subtracts no equals
    ahead = nodes.add("Div", y, nodes.add("Add", r, x))
    behind = nodes.add("Div", nodes.add("Sub", r, x), y)
    half = nodes.add("Where", nodes.add("Less", x, zero), behind, ahead)
    angle = nodes.cast(nodes.add("Atan", nodes.cast(half, FLOAT)), DOUBLE)
    angle = nodes.add("Mul", angle, nodes.constant(2.0))
    on_axis = nodes.add("Where", nodes.add("Less", x, zero), pi, zero)
    angle = nodes.add("Where", nodes.add("Equal", y, zero), on_axis, angle)
    return nodes.where_missing([y, x], nodes.constant(np.nan), angle)


_COMPOSED: dict[str, Callable[..., str]] = {
    "log2": _log_of(2.0),
    "log10": _log_of(10.0),
    "log1p": _log1p,
    "expm1": _expm1,
    "tan": _tan,
    "asin": _asin,
    "acos": _acos,
    "atan": _atan,
    "sinh": _sinh,
    "cosh": _cosh,
    "asinh": _asinh,
    "acosh": _acosh,
    "atanh": _atanh,
    "mod": _mod,
    "clip": _clip,
    "hypot": _hypot,
    "min": _extreme("Min"),
    "max": _extreme("Max"),
    "where": _where,
    "atan2": _atan2,
}
