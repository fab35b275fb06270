"""A few words to write ONNX nodes with: every call adds nodes and returns the name of the value that comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

DOUBLE, FLOAT, INT64, STRING = TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
ML = "ai.onnx.ml"


class Nodes:
    """Nodes and constants whose names begin with `prefix`, so that they meet no others."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """One node of one output."""
        name = f"{self._prefix}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], domain=domain, **attributes))
        return name

    def constant(self, value: NDArray[Any] | np.generic | float) -> str:
        """A constant; a bare number is a double."""
        name = f"{self._prefix}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def texts(self, values: Sequence[str]) -> str:
        """A constant (len,) of texts."""
        name = f"{self._prefix}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype=object), name))
        return name

    def cast(self, value: str, to: int) -> str:
        return self.add("Cast", value, to=to)

    def where_missing(self, decides: Sequence[str], missing: str, else_: str) -> str:
        """`missing` where one of `decides` is NaN, `else_` elsewhere."""
        flags = [self.add("IsNaN", value) for value in decides]
        either = flags[0]
        for flag in flags[1:]:
            either = self.add("Or", either, flag)
        return self.add("Where", either, missing, else_)

    def rename(self, value: str, name: str) -> None:
        """Gives a value the name that users see."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))

    def into(self, graph: onnx.GraphProto, *, in_front: bool) -> None:
        """Puts the nodes before or after those of `graph`."""
        there = list(graph.node)
        del graph.node[:]
        graph.node.extend([*self.nodes, *there] if in_front else [*there, *self.nodes])
        graph.initializer.extend(self.constants)
