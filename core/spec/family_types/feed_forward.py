"""Feed-forward families: from no hidden layer to many, and one of kernels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.spec.activations import ActivationName
from core.spec.base import Bool, Count, Fraction, Shape
from core.spec.network_base import Hidden, NetworkBase, Placed, chain, flattened, place

ACTIVATION = "activation after each hidden layer; default relu"
DROPOUT = "probability of dropping a hidden value in training, 0 up to 1; default 0 (none)"
BATCH_NORM = "batch normalisation between each hidden layer and its activation; default false"


class LinearFamily(NetworkBase):
    """No hidden layer: linear or logistic regression."""

    family: Literal["linear"] = Field("linear", description="linear or logistic regression")

    def body(self, shape: Shape | None) -> list[Placed]:
        return flattened(shape)


class Perceptron(NetworkBase):
    """One layer of output neurons on the inputs; the loss holds their sigmoid or softmax, Rosenblatt 1958."""

    family: Literal["perceptron"] = Field("perceptron", description="one layer of neurons")

    def body(self, shape: Shape | None) -> list[Placed]:
        return flattened(shape)


class HiddenFamily(NetworkBase):
    """What families with hidden layers take."""

    activation: ActivationName = Field("relu", description=ACTIVATION)
    dropout: Fraction = Field(0.0, description=DROPOUT)
    batch_norm: Bool = Field(False, description=BATCH_NORM)

    def hidden_layer(self, units: int, field: str, *, bias: bool = True) -> list[Placed]:
        """Linear, batch norm, activation, dropout: the order of Ioffe and Szegedy."""
        layers = [place("linear", field, units=units, bias=bias)]
        if self.batch_norm:
            layers.append(place("batch_norm", "batch_norm"))
        layers.append(place(self.activation, "activation"))
        if self.dropout:
            layers.append(place("dropout", "dropout", p=self.dropout))
        return layers

    def hidden_layers(self, hidden: tuple[int, ...], *, bias: bool = True) -> list[Placed]:
        """One after another."""
        return chain(*(self.hidden_layer(units, f"hidden/{index}", bias=bias) for index, units in enumerate(hidden)))


class FeedForward(HiddenFamily):
    """Hidden layers of linear and activation, one unless said otherwise."""

    family: Literal["feed_forward"] = Field("feed_forward", description="feed-forward network")
    hidden: Hidden = Field((32,), description="units of each hidden layer, from the input on; default [32]")
    bias: Bool = Field(True, description="whether hidden layers have a bias; default true")

    def body(self, shape: Shape | None) -> list[Placed]:
        return flattened(shape) + self.hidden_layers(self.hidden, bias=self.bias)


class DeepFeedForward(HiddenFamily):
    """Several hidden layers of linear and activation."""

    family: Literal["deep_feed_forward"] = Field("deep_feed_forward", description="deep feed-forward network")
    hidden: Annotated[Hidden, Field(min_length=2)] = Field(
        (64, 64, 64), description="units of each hidden layer, at least two of them; default [64, 64, 64]"
    )
    bias: Bool = Field(True, description="whether hidden layers have a bias; default true")

    def body(self, shape: Shape | None) -> list[Placed]:
        return flattened(shape) + self.hidden_layers(self.hidden, bias=self.bias)


class RadialBasis(NetworkBase):
    """One layer of kernels around centres found in the data, and linear outputs on them, Broomhead and Lowe 1988."""

    family: Literal["rbf"] = Field("rbf", description="radial basis function network")
    hidden: Annotated[tuple[Count, ...], Field(min_length=1, max_length=1)] = Field(
        (32,), description="kernels of its one hidden layer; default [32]"
    )
    centres: Literal["data", "learnt"] = Field(
        "data", description="data: k-means finds the centres and they stay; learnt: they are learnt on from there"
    )

    def body(self, shape: Shape | None) -> list[Placed]:
        return [*flattened(shape), place("rbf", "hidden/0", units=self.hidden[0], centres=self.centres)]
