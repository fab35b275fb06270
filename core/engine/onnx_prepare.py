"""Preprocessing as ONNX nodes: the same arithmetic as `core.data.preparation`, in double, then float32.

A table has one input a column, (N, 1), in a forecast (N, length): double for numbers and booleans
(NaN for a missing one), string for categories.
Arrays have one input `x`, (N, *shape).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import helper

from core.data.preparation import ArrayScaling, Feature, Preparation
from core.engine.onnx_derive import expression
from core.engine.onnx_nodes import DOUBLE, FLOAT, ML, STRING, Nodes
from core.engine.onnx_normalize import normalized
from core.spec.expressions import parse_expression


def prepare_nodes(preparation: Preparation, nodes: Nodes, x: str) -> tuple[Nodes, list[Any]]:
    """`nodes` with those that end in the value named `x`, (N, *shape) float32, and the graph's inputs."""
    if preparation.array is not None:
        given = helper.make_tensor_value_info("x", FLOAT, ["N", *preparation.shape])
        nodes.rename(_scaled_array(nodes, preparation.array, len(preparation.shape) + 1), x)
        return nodes, [given]
    length = preparation.window.length if preparation.window is not None else 1
    kinds = {feature.name: feature.kind for feature in preparation.features}
    inputs = [
        helper.make_tensor_value_info(name, STRING if kinds.get(name) == "category" else DOUBLE, ["N", length])
        for name in preparation.columns
    ]
    values: dict[str, str] = {name: name for name in preparation.columns}
    for name, text in (preparation.derive or {}).items():
        values[name] = expression(nodes, parse_expression(text), values)
    values |= _normalized_together(nodes, preparation, values)
    encoded = [_encoded(nodes, feature, values[feature.name]) for feature in preparation.features]
    if preparation.window is not None:
        widths = [feature.width for feature in preparation.features]
        shapes = [nodes.constant(np.array([-1, length, width])) for width in widths]
        encoded = [nodes.add("Reshape", value, shape) for value, shape in zip(encoded, shapes, strict=True)]
    flat = nodes.add("Concat", *encoded, axis=-1)
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
