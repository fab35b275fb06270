"""Families: each one's expansion to ordinary layers, which trains identically."""

from __future__ import annotations

from dataclasses import dataclass

from core.spec.base import Shape
from core.spec.inits import Init, bias_default, recurrent_default
from core.spec.layer_base import LayerBase
from core.spec.layer_types.basic import Dropout, Flatten, Linear
from core.spec.layer_types.norms import BatchNorm
from core.spec.layers import LAYERS, Layer
from core.spec.network import DeepFeedForward, FeedForward, LayeredNetwork, NetworkBase


@dataclass(frozen=True, slots=True)
class Placed:
    """A layer and where the user wrote what it comes from: a pointer into the document that was sent."""

    layer: Layer
    pointer: str


def expand(network: NetworkBase, input_shape: Shape | None) -> list[Placed]:
    """The layers of a network, the head left out."""
    if isinstance(network, LayeredNetwork):
        return [Placed(layer, f"/network/layers/{index}") for index, layer in enumerate(network.layers)]
    flat = [Placed(Flatten(), "/network")] if input_shape is not None and len(input_shape) > 1 else []
    if isinstance(network, FeedForward | DeepFeedForward):
        return flat + [placed for index, _ in enumerate(network.hidden) for placed in _hidden_layer(network, index)]
    return flat  # linear and perceptron have the head alone


def _hidden_layer(network: FeedForward | DeepFeedForward, index: int) -> list[Placed]:
    """Linear, batch norm, activation, dropout: the order of Ioffe and Szegedy."""
    layers = [Placed(Linear(units=network.hidden[index], bias=network.bias), f"/network/hidden/{index}")]
    if network.batch_norm:
        layers.append(Placed(BatchNorm(), "/network/batch_norm"))
    layers.append(Placed(_layer(network.activation), "/network/activation"))
    if network.dropout:
        layers.append(Placed(Dropout(p=network.dropout), "/network/dropout"))
    return layers


def _layer(name: str) -> Layer:
    layer: LayerBase = LAYERS[name]()
    return layer  # type: ignore[return-value]  # LAYERS holds the members of Layer


def with_inits(layer: Layer, default: Init) -> Layer:
    """The layer and those within it with their first values written out, as far as they have any to choose."""
    layer = layer.with_inner(lambda inner: with_inits(inner, default))
    fields = type(layer).model_fields
    init: Init = getattr(layer, "init", None) or default
    update: dict[str, Init] = {}
    if "init" in fields:
        update["init"] = init
    if "bias_init" in fields:
        update["bias_init"] = getattr(layer, "bias_init", None) or bias_default(init)
    if "recurrent_init" in fields:
        update["recurrent_init"] = getattr(layer, "recurrent_init", None) or recurrent_default(init)
    return layer.model_copy(update=update) if update else layer
