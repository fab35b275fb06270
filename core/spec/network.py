"""The network of a run: a list of layers, or a family that expands to one."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from core.spec.base import Shape
from core.spec.family_types import autoencoders, convolutional, feed_forward, recurrent, transformer
from core.spec.network_base import Layers, NetworkBase, Placed

Encoding = Annotated[int, Field(strict=True, ge=0)]


class LayeredNetwork(NetworkBase):
    """The layers themselves, from the input on; what every family expands to."""

    family: None = Field(None, description="null: the layers are given")
    layers: Layers = Field(description="layers from the input on, the output layer left out; may be empty")
    encoding: Encoding | None = Field(
        None,
        description="index in layers of the one whose output is a sample's code, which predict answers as `encoding`; "
        "null: a latent layer, else with the task reconstruction the narrowest (the last of equal ones), else the last",
    )

    def body(self, shape: Shape | None) -> list[Placed]:  # noqa: ARG002 - the layers are what they are
        return [
            Placed(layer, f"/network/layers/{index}", is_code=index == self.encoding)
            for index, layer in enumerate(self.layers)
        ]


FAMILIES: dict[str, type[NetworkBase]] = {
    "linear": feed_forward.LinearFamily,
    "perceptron": feed_forward.Perceptron,
    "feed_forward": feed_forward.FeedForward,
    "deep_feed_forward": feed_forward.DeepFeedForward,
    "rbf": feed_forward.RadialBasis,
    "rnn": recurrent.RecurrentNetwork,
    "lstm": recurrent.LSTMNetwork,
    "gru": recurrent.GRUNetwork,
    "autoencoder": autoencoders.Autoencoder,
    "variational_autoencoder": autoencoders.VariationalAutoencoder,
    "denoising_autoencoder": autoencoders.DenoisingAutoencoder,
    "sparse_autoencoder": autoencoders.SparseAutoencoder,
    "convolutional": convolutional.Convolutional,
    "residual": convolutional.ResidualFamily,
    "transformer": transformer.Transformer,
}


def network_tag(value: Any) -> str:
    """Which member of `Network` a value is meant to be: its family, or `layers` when it names none."""
    family = value.get("family") if isinstance(value, dict) else getattr(value, "family", None)
    return "layers" if family is None else str(family)


Network = Annotated[
    Annotated[LayeredNetwork, Tag("layers")]
    | Annotated[feed_forward.LinearFamily, Tag("linear")]
    | Annotated[feed_forward.Perceptron, Tag("perceptron")]
    | Annotated[feed_forward.FeedForward, Tag("feed_forward")]
    | Annotated[feed_forward.DeepFeedForward, Tag("deep_feed_forward")]
    | Annotated[feed_forward.RadialBasis, Tag("rbf")]
    | Annotated[recurrent.RecurrentNetwork, Tag("rnn")]
    | Annotated[recurrent.LSTMNetwork, Tag("lstm")]
    | Annotated[recurrent.GRUNetwork, Tag("gru")]
    | Annotated[autoencoders.Autoencoder, Tag("autoencoder")]
    | Annotated[autoencoders.VariationalAutoencoder, Tag("variational_autoencoder")]
    | Annotated[autoencoders.DenoisingAutoencoder, Tag("denoising_autoencoder")]
    | Annotated[autoencoders.SparseAutoencoder, Tag("sparse_autoencoder")]
    | Annotated[convolutional.Convolutional, Tag("convolutional")]
    | Annotated[convolutional.ResidualFamily, Tag("residual")]
    | Annotated[transformer.Transformer, Tag("transformer")],
    Discriminator(network_tag),
]
