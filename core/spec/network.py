"""The network of a run: a list of layers, or a family that expands to one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from core.spec.activations import ActivationName
from core.spec.base import Bool, Count, Fraction, SpecModel
from core.spec.inits import Init
from core.spec.layers import Layer

Layers = Annotated[tuple[Layer, ...], Field(max_length=10_000)]
Hidden = Annotated[tuple[Count, ...], Field(min_length=1, max_length=1000)]

_HEAD = "output layers in place of those that follow from the task; null: those of the task"
_INIT = "first values of every layer that names none of its own; default torch"
_ACTIVATION = "activation after each hidden layer; default relu"
_DROPOUT = "probability of dropping a hidden value in training, 0 up to 1; default 0 (none)"
_BATCH_NORM = "batch normalisation between each hidden layer and its activation; default false"


class NetworkBase(SpecModel):
    """What every network takes."""

    head: Layers | None = Field(None, description=_HEAD)
    init: Init | None = Field(None, description=_INIT)


class LayeredNetwork(NetworkBase):
    """The layers themselves, from the input on; what every family expands to."""

    family: None = Field(None, description="null: the layers are given")
    layers: Layers = Field(description="layers from the input on, the output layer left out; may be empty")


class LinearFamily(NetworkBase):
    """No hidden layer: linear or logistic regression."""

    family: Literal["linear"] = Field("linear", description="linear or logistic regression")


class Perceptron(NetworkBase):
    """One layer of output neurons on the inputs; the loss holds their sigmoid or softmax, Rosenblatt 1958."""

    family: Literal["perceptron"] = Field("perceptron", description="one layer of neurons")


class HiddenFamily(NetworkBase):
    """What families with hidden layers take."""

    activation: ActivationName = Field("relu", description=_ACTIVATION)
    dropout: Fraction = Field(0.0, description=_DROPOUT)
    batch_norm: Bool = Field(False, description=_BATCH_NORM)


class FeedForward(HiddenFamily):
    """Hidden layers of linear and activation, one unless said otherwise."""

    family: Literal["feed_forward"] = Field("feed_forward", description="feed-forward network")
    hidden: Hidden = Field((32,), description="units of each hidden layer, from the input on; default [32]")
    bias: Bool = Field(True, description="whether hidden layers have a bias; default true")


class DeepFeedForward(HiddenFamily):
    """Several hidden layers of linear and activation."""

    family: Literal["deep_feed_forward"] = Field("deep_feed_forward", description="deep feed-forward network")
    hidden: Annotated[Hidden, Field(min_length=2)] = Field(
        (64, 64, 64), description="units of each hidden layer, at least two of them; default [64, 64, 64]"
    )
    bias: Bool = Field(True, description="whether hidden layers have a bias; default true")


FAMILIES: dict[str, type[NetworkBase]] = {
    "linear": LinearFamily,
    "perceptron": Perceptron,
    "feed_forward": FeedForward,
    "deep_feed_forward": DeepFeedForward,
}


def network_tag(value: Any) -> str:
    """Which member of `Network` a value is meant to be: its family, or `layers` when it names none."""
    family = value.get("family") if isinstance(value, dict) else getattr(value, "family", None)
    return "layers" if family is None else str(family)


Network = Annotated[
    Annotated[LayeredNetwork, Tag("layers")]
    | Annotated[LinearFamily, Tag("linear")]
    | Annotated[Perceptron, Tag("perceptron")]
    | Annotated[FeedForward, Tag("feed_forward")]
    | Annotated[DeepFeedForward, Tag("deep_feed_forward")],
    Discriminator(network_tag),
]
