"""The network of a resolved spec as `nn.Sequential`, so that parameters carry PyTorch's own names: `0.weight`."""

from __future__ import annotations

import math

import torch
from torch import Generator, nn

from core.engine.first_values import initialise
from core.engine.layers import build_layer
from core.engine.seeds import generator
from core.spec import inits
from core.spec.base import Shape
from core.spec.layer_base import LayerBase
from core.spec.network import LayeredNetwork
from core.spec.sizes import evaluation_rows

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


def all_layers(network: LayeredNetwork) -> tuple[LayerBase, ...]:
    """Hidden layers and output layers, in the order they run."""
    return (*network.layers, *(network.head or ()))


class Network(nn.Sequential):
    """The layers of a spec; what it costs is known by arithmetic alone."""

    flops: int = 0
    """Floating-point operations of one sample's forward pass."""
    rows_at_once: int = 2048
    """Rows of a forward pass that keeps no graph: enough to be fast, few enough for memory."""


def build_network(network: LayeredNetwork, input_shape: Shape, *, seed: int, precision: str) -> Network:
    """The network with its first values, on the CPU.

    Each layer draws from a stream of its own, f(seed, index): a layer that is put in or taken out leaves the
    first values of those before it alone.
    """
    modules: list[nn.Module] = []
    shape = input_shape
    flops, values = 0, math.prod(input_shape)
    with torch.no_grad():
        for index, layer in enumerate(all_layers(network)):
            module = build_layer(layer, shape).to(PRECISIONS[precision])
            _initialise(module, layer, shape, network.init or inits.Torch(), generator(seed, "init", index))
            modules.append(module)
            flops, values = flops + layer.flops(shape), values + layer.stored_values(shape)
            shape = layer.output_shape(shape)
    built = Network(*modules)
    built.flops, built.rows_at_once = flops, evaluation_rows(values)
    return built


def output_shape(network: LayeredNetwork, input_shape: Shape) -> Shape:
    """The shape of one sample's output."""
    shape = input_shape
    for layer in all_layers(network):
        shape = layer.output_shape(shape)
    return shape


def _initialise(module: nn.Module, layer: LayerBase, shape: Shape, default: inits.Init, source: Generator) -> None:
    """First values of a layer, or of all that a block holds one after another."""
    parts = layer.parts(shape)
    for part in parts:
        within = module.get_submodule(part.path.replace("/", "."))
        _initialise(within, part.layer, part.shape, default, source)
    if not parts:
        initialise(module, getattr(layer, "init", None) or default, getattr(layer, "bias_init", None), source)
