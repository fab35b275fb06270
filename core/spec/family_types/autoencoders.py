"""Autoencoders: an encoder to a code, and its mirror image back to the inputs; flat or convolutional."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from core.spec.activations import ActivationName
from core.spec.base import Count, NonNegative, Shape
from core.spec.family_types.feed_forward import HiddenFamily
from core.spec.family_types.maps import Maps
from core.spec.layer_types.stochastic import NoiseKind
from core.spec.network_base import Hidden, Placed, chain, flattened, place

_HIDDEN = (
    "units of the encoder's layers from the input on, mirrored in the decoder; null: [64, 32], none beside channels "
    "and in a sparse autoencoder"
)
_LATENT = "size of the code; null: a quarter of the inputs, from 1 to 32"
_CHANNELS = (
    "channels of convolutions of kernel 3, each followed by a pool of 2, before the encoder's other layers, and "
    "mirrored behind the decoder's; for images and sequences; null: none"
)
_MOST_LATENT = 32
_DEFAULT_HIDDEN = (64, 32)


class AutoencoderFamily(HiddenFamily):
    """What all kinds take; the output layer gives the inputs back, in their shape."""

    reproduces: ClassVar[bool] = True
    default_hidden: ClassVar[tuple[int, ...]] = _DEFAULT_HIDDEN
    hidden: Annotated[tuple[Count, ...], Field(max_length=1000)] | None = Field(None, description=_HIDDEN)
    latent: Count | None = Field(None, description=_LATENT)
    channels: Hidden | None = Field(None, description=_CHANNELS)

    def body(self, shape: Shape | None) -> list[Placed]:
        if shape is None:
            return []
        widths = self._widths()
        front, back, inner = self._convolutions(shape)
        encoder = self.hidden_layers(widths)
        decoder = chain(
            *(self.hidden_layer(units, f"hidden/{index}") for index, units in reversed(list(enumerate(widths))))
        )
        values = math.prod(shape)
        code = self.code(values, self.latent or self.default_latent(values))
        return chain(self.before(), front, flattened(inner), encoder, code, decoder, back)

    def ending(self, wanted: Shape) -> list[Placed] | None:
        if self.channels is None:
            return None
        maps = Maps.of(wanted, str(getattr(self, "family", "autoencoder")))
        return [maps.layer("conv{}", "channels", channels=maps.channels, kernel_size=3, padding="same")]

    def before(self) -> list[Placed]:
        """Layers before the encoder."""
        return []

    def code(self, values: int, latent: int) -> list[Placed]:  # noqa: ARG002 - some weigh a term by the inputs' number
        """The layers that give the code of samples of `values` numbers."""
        return [place("linear", "latent", is_code=True, units=latent)]

    def default_latent(self, values: int) -> int:
        return max(1, min(_MOST_LATENT, values // 4))

    def _widths(self) -> tuple[int, ...]:
        if self.hidden is not None:
            return self.hidden
        return () if self.channels else self.default_hidden

    def _convolutions(self, shape: Shape) -> tuple[list[Placed], list[Placed], Shape]:
        """Those before the encoder, those behind the decoder, and the shape between."""
        if self.channels is None:
            return [], [], shape
        maps = Maps.of(shape, str(getattr(self, "family", "autoencoder")))
        front: list[Placed] = []
        back: list[Placed] = []
        for index, channels in enumerate(self.channels):
            field = f"channels/{index}"
            maps = maps.with_channels(channels)
            front += self._bent(maps, [maps.layer("conv{}", field, channels=channels, kernel_size=3, padding="same")])
            if maps.can_halve:
                front.append(maps.layer("max_pool{}", field))
            out = maps.with_channels(self.channels[max(index - 1, 0)])
            back = self._bent(out, [_undo(maps, out, field)]) + back
            maps = maps.halved() if maps.can_halve else maps
        widen: list[Placed] = self.hidden_layer(math.prod(maps.shape), f"channels/{len(self.channels) - 1}")
        return front, [*widen, place("unflatten", "channels", shape=maps.shape), *back], maps.shape

    def _bent(self, maps: Maps, layers: list[Placed]) -> list[Placed]:
        """With batch norm and the activation behind."""
        norm = [maps.layer("batch_norm", "batch_norm")] if self.batch_norm else []
        return [*layers, *norm, place(self.activation, "activation")]


def _undo(maps: Maps, out: Maps, field: str) -> Placed:
    """The convolution that gives `out` the size that `maps` had before its pool: an odd length takes a kernel of 3."""
    if not maps.can_halve:
        return maps.layer("conv{}", field, channels=out.channels, kernel_size=3, padding="same")
    kernel: Any = [2 + length % 2 for length in out.size]
    size: dict[str, Any] = {"kernel_size": kernel if maps.are_images else kernel[0], "stride": 2}
    return maps.layer("conv_transpose{}", field, channels=out.channels, **size)


class Autoencoder(AutoencoderFamily):
    """Learns its inputs through a code that is narrower than they are, Hinton and Salakhutdinov 2006."""

    family: Literal["autoencoder"] = Field("autoencoder", description="autoencoder")


class VariationalAutoencoder(AutoencoderFamily):
    """Learns a distribution of codes near N(0, 1), from which new samples are drawn, Kingma and Welling 2014."""

    family: Literal["variational_autoencoder"] = Field(
        "variational_autoencoder", description="autoencoder with a probabilistic code"
    )
    beta: NonNegative = Field(
        1.0,
        description="factor on the divergence of the code from N(0, 1), whose weight at 1 (2 over the number of "
        "inputs) is that of the evidence lower bound of a decoder of variance 1; below 1 codes hold more, above less "
        "(Higgins et al. 2017)",
    )

    def code(self, values: int, latent: int) -> list[Placed]:
        return [place("latent", "latent", is_code=True, units=latent, beta=self.beta * 2 / values)]


class DenoisingAutoencoder(AutoencoderFamily):
    """Learns clean inputs from noisy ones, Vincent et al. 2008."""

    family: Literal["denoising_autoencoder"] = Field("denoising_autoencoder", description="autoencoder of noisy inputs")
    noise: NoiseKind = Field(
        "additive", description="how inputs are spoilt in training: additive, multiplicative, masking, salt_and_pepper"
    )
    noise_level: NonNegative = Field(
        0.3,
        le=1000,
        description="deviation of the noise, for masking and salt_and_pepper the share spoilt; default 0.3",
    )

    @model_validator(mode="after")
    def _a_share(self) -> DenoisingAutoencoder:
        if self.noise in ("masking", "salt_and_pepper") and self.noise_level > 1:
            raise PydanticCustomError(
                "out_of_range",
                "received noise_level {level} with {noise}, expected a share from 0 to 1; do lower it",
                {"level": self.noise_level, "noise": self.noise, "field": "noise_level"},
            )
        return self

    def before(self) -> list[Placed]:
        level = "std" if self.noise in ("additive", "multiplicative") else "p"
        fields: dict[str, Any] = {level: self.noise_level}
        return [place("noise", "noise", kind=self.noise, **fields)]


class SparseAutoencoder(AutoencoderFamily):
    """Learns a code of which few units are active at a time, wide as it may be, Ranzato et al. 2007, Ng 2011."""

    default_hidden: ClassVar[tuple[int, ...]] = ()
    family: Literal["sparse_autoencoder"] = Field("sparse_autoencoder", description="autoencoder with a sparse code")
    latent: Count | None = Field(None, description="units of the code; null: as many as there are inputs, at most 256")
    sparsity: Literal["kl", "l1"] = Field(
        "kl",
        description="kl: mean activities of a sigmoid code are drawn to target; l1: the absolute values of a ReLU code "
        "are kept small",
    )
    target: Annotated[float, Field(strict=True, gt=0, lt=1)] = Field(
        0.05, description="mean activity that kl asks of each unit, between 0 and 1; default 0.05"
    )
    weight: NonNegative | None = Field(
        None,
        description="weight of the term beside half the summed squared error of a row (so 2 over the number of inputs "
        "times as much beside the mean one); null: 3 for kl (Ng), 0.1 for l1",
    )

    def default_latent(self, values: int) -> int:
        return min(256, values)

    def code(self, values: int, latent: int) -> list[Placed]:
        bend: ActivationName = "sigmoid" if self.sparsity == "kl" else "relu"
        weight = self.weight if self.weight is not None else {"kl": 3.0, "l1": 0.1}[self.sparsity]
        term: dict[str, Any] = {self.sparsity: weight * 2 / values, "target": self.target}
        return [
            place("linear", "latent", units=latent),
            place(bend, "sparsity"),
            place("activity_regularizer", "sparsity", is_code=True, **term),
        ]
