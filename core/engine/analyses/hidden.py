"""Hidden layers by index: which one holds the encoding, and what it makes of rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.engine.analyses.context import Context, refuse
from core.engine.network import all_layers
from core.engine.outputs import forward
from core.spec.base import Shape
from core.spec.job import JobSpec


def layer_shapes(spec: JobSpec, shape: Shape) -> list[Shape]:
    """The shape that goes out of every layer, head included."""
    shapes = []
    for layer in all_layers(spec.layered()):
        shape = layer.output_shape(shape)
        shapes.append(shape)
    return shapes


def check_layer(index: int, context: Context) -> int:
    """The index of a layer of the network; Invalid for one that it does not have."""
    count = len(all_layers(context.model.spec.layered()))
    if index >= count:
        raise refuse(
            "/layer", "unknown_layer", f"received {index}, expected a layer from 0 to {count - 1}; do lower it"
        )
    return index


def encoding_layer(context: Context) -> int:
    """The hidden layer that encodes, as the resolved spec says; Invalid when there is no hidden layer."""
    encoding = context.model.spec.layered().encoding
    if encoding is None:
        raise refuse(
            "/type", "no_hidden_layer", "received a network without hidden layers, expected one; do name a layer"
        )
    return encoding


def encode(context: Context, x: Tensor, layer: int) -> NDArray[np.float64]:
    """(N, values) outputs of the layer in evaluation mode, flat."""
    network = context.model.network
    outputs = forward(network[: layer + 1], x, network.rows_at_once)
    return np.asarray(outputs.double().reshape(len(x), -1).numpy())
