"""Preprocessing as ONNX nodes: the same arithmetic as `core.data.preparation`, in double, then float32.

A table has one input a column, (N, 1), in a forecast (N, length): double for numbers, booleans, categories that are
whole numbers, and times (seconds since 1970-01-01T00:00:00Z, for ONNX has none), NaN where missing; string for texts.
Arrays have one input `x`, (N, *shape).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import helper

from core.data.normalize import sample_axes
from core.data.preparation import ArrayScaling, Feature, Preparation
from core.engine.onnx_derive import expression
from core.engine.onnx_nodes import DOUBLE, FLOAT, INT64, ML, STRING, Nodes
from core.engine.onnx_normalize import normalized
from core.spec.base import Shape
from core.spec.encoding import CYCLES, DAY_S
from core.spec.expressions import parse_expression


def prepare_nodes(preparation: Preparation, nodes: Nodes, x: str) -> tuple[Nodes, list[Any]]:
    """`nodes` with those that end in the value named `x`, (N, *shape) float32, and the graph's inputs."""
    if preparation.array is not None:
        given = helper.make_tensor_value_info("x", FLOAT, ["N", *preparation.shape])
        nodes.rename(_scaled_array(nodes, preparation.array, preparation.shape), x)
        return nodes, [given]
    length = preparation.window.length if preparation.window is not None else 1
    features = {feature.name: feature for feature in preparation.features}
    inputs = [
        helper.make_tensor_value_info(name, STRING if _is_text(features.get(name)) else DOUBLE, ["N", length])
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


def _is_text(feature: Feature | None) -> bool:
    return feature is not None and feature.kind in ("category", "code") and not feature.integers


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
        known = {"cats_int64s" if feature.integers else "cats_strings": _labels(feature)}
        hot = nodes.add("OneHotEncoder", _label(nodes, feature, value), domain=ML, zeros=1, **known)
        flat = nodes.add("Reshape", hot, nodes.constant(np.array([-1, feature.width])))
        return nodes.add("Mul", flat, nodes.constant(np.array([feature.seen], dtype=np.float32)))
    if feature.kind == "code":
        return _code(nodes, feature, value)
    missing = nodes.add("IsNaN", value)
    days = nodes.add("Div", value, nodes.constant(DAY_S)) if feature.kind == "date" else value
    if feature.fill is not None:
        days = nodes.add("Where", missing, nodes.constant(feature.fill), days)
    shifted = nodes.add("Sub", days, nodes.constant(feature.shift))
    columns = [nodes.cast(nodes.add("Div", shifted, nodes.constant(feature.scale)), FLOAT)]
    for part in feature.parts[1:]:
        wave = nodes.add("Where", missing, nodes.constant(0.0), _on_cycle(nodes, value, part))
        columns.append(nodes.cast(wave, FLOAT))
    if feature.indicator:
        flag = nodes.cast(missing, FLOAT)
        columns.append(nodes.add("Mul", flag, nodes.constant(np.float32(feature.gaps))))
    if len(columns) == 1:
        return columns[0]
    # (N, length) each in a forecast
    one = nodes.constant(np.array([-1, 1]))
    return nodes.add("Concat", *(nodes.add("Reshape", column, one) for column in columns), axis=1)


def _labels(feature: Feature) -> list[Any]:
    return [int(value) for value in feature.categories] if feature.integers else list(feature.categories)


def _label(nodes: Nodes, feature: Feature, value: str) -> str:
    """The value as an encoder takes it: a text as it is, a whole number as such, any other number as none of them."""
    if not feature.integers:
        return value
    none = nodes.constant(float(min(_labels(feature)) - 1))
    whole = nodes.add("Equal", value, nodes.add("Floor", value))
    return nodes.cast(nodes.add("Where", whole, value, none), INT64)


def _code(nodes: Nodes, feature: Feature, value: str) -> str:
    """The category's place, or the number of categories for what training rows did not have."""
    unknown = float(len(feature.categories))
    places = [float(place) if seen else unknown for place, seen in enumerate(feature.seen)]
    keys = {"keys_int64s" if feature.integers else "keys_strings": _labels(feature)}
    label = _label(nodes, feature, value)
    return nodes.add("LabelEncoder", label, domain=ML, values_floats=places, default_float=unknown, **keys)


def _on_cycle(nodes: Nodes, seconds: str, part: str) -> str:
    cycle, wave = part.split("_")
    period, start = CYCLES[cycle]
    since = nodes.add("Sub", seconds, nodes.constant(start))
    turns = nodes.add("Div", since, nodes.constant(period))
    place = nodes.add("Sub", turns, nodes.add("Floor", turns))
    return nodes.add(wave.capitalize(), nodes.add("Mul", place, nodes.constant(2 * np.pi)))


def _scaled_array(nodes: Nodes, scaling: ArrayScaling, sample: Shape) -> str:
    shape = [-1 if axis == scaling.axis else 1 for axis in range(len(sample) + 1)]

    def constant(values: Any) -> str:
        return nodes.constant(np.array(values, dtype=np.float64).reshape(shape))

    value = nodes.cast("x", DOUBLE)
    value = normalized(nodes, value, sample_axes(sample), scaling.normalize)
    if None not in scaling.fill:
        value = nodes.where_missing([value], constant(scaling.fill), value)
    shifted = nodes.add("Sub", value, constant(scaling.shift))
    return nodes.cast(nodes.add("Div", shifted, constant(scaling.scale)), FLOAT)
