"""`core.data.normalize` as ONNX nodes, in double: each sample brought to a scale of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.engine.onnx_nodes import DOUBLE, Nodes


def normalized(nodes: Nodes, value: str, axes: Sequence[int], how: str) -> str:
    """`value` (double) with its shift taken away and divided by its scale, both over `axes`; NaN stays NaN."""
    if how == "none":
        return value
    shift, scale = _scales(nodes, value, nodes.constant(np.array(axes, dtype=np.int64)), how)
    return nodes.add("Div", nodes.add("Sub", value, shift) if shift else value, scale)


def _scales(nodes: Nodes, value: str, axes: str, how: str) -> tuple[str | None, str]:
    zero, one = nodes.constant(0.0), nodes.constant(1.0)

    def total(of: str) -> str:
        return nodes.add("ReduceSum", of, axes, keepdims=1)

    known = nodes.where_missing([value], zero, value)
    if how != "standard":
        size = nodes.add("Abs", known)
        match how:
            case "l1":
                scale = total(size)
            case "l2":
                scale = nodes.add("Sqrt", total(nodes.add("Mul", known, known)))
            case _:
                scale = nodes.add("ReduceMax", size, axes, keepdims=1)
        return None, nodes.add("Where", nodes.add("Equal", scale, zero), one, scale)
    is_known = nodes.cast(nodes.add("Not", nodes.add("IsNaN", value)), DOUBLE)
    count = nodes.add("Max", total(is_known), one)
    shift = nodes.add("Div", total(known), count)
    off = nodes.add("Mul", nodes.add("Sub", known, shift), is_known)
    scale = nodes.add("Sqrt", nodes.add("Div", total(nodes.add("Mul", off, off)), count))
    least = nodes.add("Mul", nodes.add("Abs", shift), nodes.constant(1e-12))
    return shift, nodes.add("Where", nodes.add("Greater", scale, least), scale, one)
