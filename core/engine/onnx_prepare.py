"""Preprocessing as ONNX nodes: the same arithmetic as `core.data.preparation`, in double, then float32.

A table has one input a column, (N, 1): double for numbers and booleans (NaN for a missing one), string for categories.
Arrays have one input `x`, (N, *shape).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import helper

from core.data.preparation import ArrayScaling, Feature, Preparation
from core.engine.onnx_nodes import DOUBLE, FLOAT, ML, STRING, Nodes
from core.engine.onnx_normalize import normalized
from core.spec.expressions import Binary, Call, Expression, Name, Negate, Number, parse_expression

_ARITHMETIC = {"+": "Add", "-": "Sub", "*": "Mul", "/": "Div", "**": "Pow"}
_COMPARISONS = {"<": "Less", "<=": "LessOrEqual", ">": "Greater", ">=": "GreaterOrEqual", "==": "Equal", "!=": "Equal"}
_DIRECT = {"sqrt": "Sqrt", "abs": "Abs", "log": "Log", "exp": "Exp", "sin": "Sin", "cos": "Cos", "tanh": "Tanh"}


def prepare_nodes(preparation: Preparation, nodes: Nodes, x: str) -> tuple[Nodes, list[Any]]:
    """`nodes` with those that end in the value named `x`, (N, *shape) float32, and the graph's inputs."""
    if preparation.array is not None:
        given = helper.make_tensor_value_info("x", FLOAT, ["N", *preparation.shape])
        nodes.rename(_scaled_array(nodes, preparation.array, len(preparation.shape) + 1), x)
        return nodes, [given]
    kinds = {feature.name: feature.kind for feature in preparation.features}
    inputs = [
        helper.make_tensor_value_info(name, STRING if kinds.get(name) == "category" else DOUBLE, ["N", 1])
        for name in preparation.columns
    ]
    values: dict[str, str] = {name: name for name in preparation.columns}
    for name, text in (preparation.derive or {}).items():
        values[name] = _expression(nodes, parse_expression(text), values)
    values |= _normalized_together(nodes, preparation, values)
    encoded = [_encoded(nodes, feature, values[feature.name]) for feature in preparation.features]
    flat = nodes.add("Concat", *encoded, axis=1)
    nodes.rename(nodes.add("Reshape", flat, nodes.constant(np.array([-1, *preparation.shape]))), x)
    return nodes, inputs


def _normalized_together(nodes: Nodes, preparation: Preparation, values: Mapping[str, str]) -> dict[str, str]:
    """The numbers of each row on a scale of the row's own."""
    names = preparation.numbers
    if preparation.normalize == "none" or not names:
        return {}
    together = nodes.add("Concat", *(values[name] for name in names), axis=1)
    own = normalized(nodes, together, [1], preparation.normalize)
    places = (nodes.constant(np.array([index], dtype=np.int64)) for index in range(len(names)))
    return {name: nodes.add("Gather", own, place, axis=1) for name, place in zip(names, places, strict=True)}


def _encoded(nodes: Nodes, feature: Feature, value: str) -> str:
    """(N, width) float32 of one feature."""
    if feature.kind == "category":
        hot = nodes.add("OneHotEncoder", value, domain=ML, cats_strings=list(feature.categories), zeros=1)
        flat = nodes.add("Reshape", hot, nodes.constant(np.array([-1, feature.width])))
        return nodes.add("Mul", flat, nodes.constant(np.array([feature.seen], dtype=np.float32)))
    if feature.fill is not None:
        value = nodes.where_missing([value], nodes.constant(feature.fill), value)
    shifted = nodes.add("Sub", value, nodes.constant(feature.shift))
    return nodes.cast(nodes.add("Div", shifted, nodes.constant(feature.scale)), FLOAT)


def _scaled_array(nodes: Nodes, scaling: ArrayScaling, num_axes: int) -> str:
    shape = [-1 if axis == scaling.axis else 1 for axis in range(num_axes)]

    def constant(values: Any) -> str:
        return nodes.constant(np.array(values, dtype=np.float64).reshape(shape))

    value = nodes.cast("x", DOUBLE)
    # a sequence feature by feature, all else as a whole
    value = normalized(nodes, value, [1] if num_axes == 3 else range(1, num_axes), scaling.normalize)
    if None not in scaling.fill:
        value = nodes.where_missing([value], constant(scaling.fill), value)
    shifted = nodes.add("Sub", value, constant(scaling.shift))
    return nodes.cast(nodes.add("Div", shifted, constant(scaling.scale)), FLOAT)


def _expression(nodes: Nodes, expression: Expression, values: Mapping[str, str]) -> str:
    """(N, 1) double: a derived column as `core.data.derive` has it."""
    match expression:
        case Number(value=value):
            return nodes.constant(value)
        case Name(name=name):
            return values[name]
        case Negate(operand=operand):
            return nodes.add("Neg", _expression(nodes, operand, values))
        case Binary(operator=operator, left=left, right=right):
            a, b = _expression(nodes, left, values), _expression(nodes, right, values)
            if operator in _ARITHMETIC:
                return nodes.add(_ARITHMETIC[operator], a, b)
            holds = nodes.add(_COMPARISONS[operator], a, b)
            if operator == "!=":
                holds = nodes.add("Not", holds)
            return nodes.where_missing([a, b], nodes.constant(np.nan), nodes.cast(holds, DOUBLE))
        case Call(function=function, arguments=arguments):
            return _call(nodes, function, [_expression(nodes, argument, values) for argument in arguments])


def _call(nodes: Nodes, function: str, a: list[str]) -> str:
    """A function; those that runtimes lack in double are put together from others."""
    return nodes.add(_DIRECT[function], *a) if function in _DIRECT else _COMPOSED[function](nodes, *a)


def _log1p(nodes: Nodes, a: str) -> str:
    return nodes.add("Log", nodes.add("Add", a, nodes.constant(1.0)))


def _tan(nodes: Nodes, a: str) -> str:
    return nodes.add("Div", nodes.add("Sin", a), nodes.add("Cos", a))


def _hyperbolic(op: str) -> Callable[[Nodes, str], str]:
    def function(nodes: Nodes, a: str) -> str:
        both = nodes.add(op, nodes.add("Exp", a), nodes.add("Exp", nodes.add("Neg", a)))
        return nodes.add("Div", both, nodes.constant(2.0))

    return function


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
    "log1p": _log1p,
    "tan": _tan,
    "sinh": _hyperbolic("Sub"),
    "cosh": _hyperbolic("Add"),
    "hypot": _hypot,
    "min": _extreme("Min"),
    "max": _extreme("Max"),
    "where": _where,
    "atan2": _atan2,
}
