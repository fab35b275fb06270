"""The network of a resolved spec as `nn.Sequential`, so that parameters carry PyTorch's own names: `0.weight`."""

from __future__ import annotations

import torch
from torch import nn

from core.engine.first_values import initialise
from core.engine.layers import build_layer
from core.engine.seeds import generator
from core.spec import inits
from core.spec.base import Shape
from core.spec.layer_base import LayerBase
from core.spec.network import LayeredNetwork

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


def all_layers(network: LayeredNetwork) -> tuple[LayerBase, ...]:
    """Hidden layers and output layers, in the order they run."""
    return (*network.layers, *(network.head or ()))


def build_network(network: LayeredNetwork, input_shape: Shape, *, seed: int, precision: str) -> nn.Sequential:
    """The network with its first values, on the CPU.

    Each layer draws from a stream of its own, f(seed, index): a layer that is put in or taken out leaves the
    first values of those before it alone.
    """
    modules: list[nn.Module] = []
    shape = input_shape
    with torch.no_grad():
        for index, layer in enumerate(all_layers(network)):
            module = build_layer(layer, shape).to(PRECISIONS[precision])
            init = getattr(layer, "init", None) or network.init or inits.Torch()
            initialise(module, init, getattr(layer, "bias_init", None), generator(seed, "init", index))
            modules.append(module)
            shape = layer.output_shape(shape)
    return nn.Sequential(*modules)


def output_shape(network: LayeredNetwork, input_shape: Shape) -> Shape:
    """The shape of one sample's output."""
    shape = input_shape
    for layer in all_layers(network):
        shape = layer.output_shape(shape)
    return shape
