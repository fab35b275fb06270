"""Convolutional families for images and sequences: plain stacks, and residual ones (of linear layers for flat data)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.spec.base import Bool, Count, Shape
from core.spec.family_types.feed_forward import HiddenFamily
from core.spec.family_types.maps import Maps
from core.spec.layer_base import ShapeError
from core.spec.network_base import Hidden, Placed, chain, place

_BATCH_NORM = "batch normalisation before each activation; default true"
_IMAGE_CHANNELS = (16, 32, 64)
# the fully convolutional and the residual network of Wang et al. 2017 for time series
_SERIES_CHANNELS = (128, 256, 128)
_SERIES_BLOCKS = (64, 128, 128)
_SERIES_KERNELS = (8, 5, 3)


class MapsFamily(HiddenFamily):
    """What families of convolutions take."""

    batch_norm: Bool = Field(True, description=_BATCH_NORM)

    def convolution(self, maps: Maps, kernel: int, field: str, *, stride: int = 1, bends: bool = True) -> list[Placed]:
        """A convolution that gives `maps`, with batch norm and the activation behind it."""
        fit = {"padding": "same"} if stride == 1 else {"padding": kernel // 2, "stride": stride}
        layers = [maps.layer("conv{}", field, channels=maps.channels, kernel_size=kernel, **fit)]
        if self.batch_norm:
            layers.append(maps.layer("batch_norm", "batch_norm"))
        return [*layers, place(self.activation, "activation")] if bends else layers


class Convolutional(MapsFamily):
    """Convolutions over images with pooling between, or over sequences with global pooling behind, LeCun et al. 1998.

    On sequences the default is the fully convolutional network of Wang et al. 2017.
    """

    family: Literal["convolutional"] = Field("convolutional", description="convolutional network")
    channels: Hidden | None = Field(
        None, description="channels of each convolution; null: [16, 32, 64] on images, [128, 256, 128] on sequences"
    )
    kernel_size: Count | Hidden | None = Field(
        None, description="length of the kernels, one for all or one for each; null: 3 on images, 8, 5, 3 on sequences"
    )
    pool: Literal["max", "average", "none"] | None = Field(
        None, description="pooling by 2 behind each convolution; null: max on images, none on sequences"
    )
    global_pool: Literal["max", "average", "none"] | None = Field(
        None,
        description="what each channel becomes behind the last one: its average, its max, or none (all values go on); "
        "null: none on images, average on sequences",
    )
    hidden: Annotated[tuple[Count, ...], Field(max_length=1000)] | None = Field(
        None, description="units of linear layers before the output; null: [64] on images, none on sequences"
    )

    def body(self, shape: Shape | None) -> list[Placed]:
        if shape is None:
            return []
        maps = Maps.of(shape, self.family)
        channels = self.channels or (_IMAGE_CHANNELS if maps.are_images else _SERIES_CHANNELS)
        layers: list[Placed] = []
        pool = self.pool or ("max" if maps.are_images else "none")
        for index, (width, kernel) in enumerate(zip(channels, self._kernels(maps, len(channels)), strict=True)):
            maps = maps.with_channels(width)
            layers += self.convolution(maps, kernel, f"channels/{index}")
            if pool != "none" and maps.can_halve:
                layers.append(maps.layer({"max": "max_pool{}", "average": "avg_pool{}"}[pool], "pool"))
                maps = maps.halved()
            if self.dropout:
                layers.append(place("dropout", "dropout", p=self.dropout))
        hidden = self.hidden if self.hidden is not None else ((64,) if maps.are_images else ())
        return chain(layers, self._end(maps), self.hidden_layers(hidden))

    def _kernels(self, maps: Maps, count: int) -> tuple[int, ...]:
        """One a convolution."""
        match self.kernel_size:
            case None:
                return (3,) * count if maps.are_images else (*_SERIES_KERNELS, *(3,) * count)[:count]
            case int():
                return (self.kernel_size,) * count
        if len(self.kernel_size) != count:
            raise ShapeError(
                f"received {len(self.kernel_size)} kernels for {count} convolutions, expected one for each or one "
                "number for all; do make the lists equally long",
                code="wrong_length",
                field="kernel_size",
            )
        return self.kernel_size

    def _end(self, maps: Maps) -> list[Placed]:
        """What brings the maps to one axis."""
        kind = self.global_pool or ("none" if maps.are_images else "average")
        if kind == "none":
            return [place("flatten", "global_pool")]
        return [maps.layer({"max": "global_max_pool", "average": "global_avg_pool"}[kind], "global_pool")]


class ResidualFamily(MapsFamily):
    """Blocks that learn what to add to their input, He et al. 2016: of convolutions on images and sequences (there the
    network of Wang et al. 2017 by default), of linear layers on flat data (Gorishniy et al. 2021).
    """

    family: Literal["residual"] = Field("residual", description="residual network")
    hidden: Hidden | None = Field(None, description="units of each block on flat data; null: [64, 64]")
    channels: Hidden | None = Field(
        None,
        description="channels of each stage of blocks on images and sequences, all but the first of which halve "
        "images; null: [16, 32, 64] on images, [64, 128, 128] on sequences",
    )
    blocks: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(1, description="blocks a stage; default 1")

    def body(self, shape: Shape | None) -> list[Placed]:
        if shape is None:
            return []
        given, other = ("channels", "hidden") if len(shape) == 1 else ("hidden", "channels")
        if getattr(self, given) is not None:
            raise ShapeError(
                f"received {given} for samples of shape {list(shape)}, expected {other}; do set {other} instead, or "
                "data.input_shape",
                code="wrong_axes",
                field=given,
            )
        return self._of_linear(self.hidden or (64, 64)) if len(shape) == 1 else self._of_maps(shape)

    def _of_linear(self, hidden: tuple[int, ...]) -> list[Placed]:
        """x + W2 dropout(g(W1 norm(x))), with a linear layer before all blocks."""
        layers = [place("linear", "hidden/0", units=hidden[0])]
        norm = [place("batch_norm", "batch_norm")] if self.batch_norm else []
        drop = [place("dropout", "dropout", p=self.dropout)] if self.dropout else []
        bend = [place(self.activation, "activation")]
        for index, units in enumerate(hidden):
            wide = [place("linear", f"hidden/{index}", units=units)]
            layers += [_block(norm + wide + bend + drop + wide, f"hidden/{index}")] * self.blocks
        return layers + norm + bend

    def _of_maps(self, shape: Shape) -> list[Placed]:
        maps = Maps.of(shape, self.family)
        images = maps.are_images
        channels = self.channels or (_IMAGE_CHANNELS if images else _SERIES_BLOCKS)
        layers: list[Placed] = []
        if images:
            maps = maps.with_channels(channels[0])
            layers += self.convolution(maps, 3, "channels/0")
        for index, width in enumerate(channels):
            for block in range(self.blocks):
                stride = 2 if images and index and not block and maps.can_halve else 1
                maps = (maps.strided() if stride == 2 else maps).with_channels(width)
                kernels = (3, 3) if images else _SERIES_KERNELS
                inner = self._convolutions(maps, kernels, f"channels/{index}", stride)
                layers.append(_block(inner, f"channels/{index}", activation=self.activation))
        return [*layers, maps.layer("global_avg_pool", "channels")]

    def _convolutions(self, maps: Maps, kernels: tuple[int, ...], field: str, stride: int) -> list[Placed]:
        """Those of one block; the last does not bend, for the sum does."""
        last = len(kernels) - 1
        parts = (
            self.convolution(maps, kernel, field, stride=1 if index else stride, bends=index < last)
            + ([place("dropout", "dropout", p=self.dropout)] if self.dropout and index < last else [])
            for index, kernel in enumerate(kernels)
        )
        return chain(*parts)


def _block(layers: list[Placed], field: str, activation: str | None = None) -> Placed:
    return place("residual", field, layers=[each.layer for each in layers], activation=activation)
