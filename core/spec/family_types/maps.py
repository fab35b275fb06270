"""Feature maps on their way through a convolutional family: images (C, H, W), sequences (T, F) or (1, L)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from core.spec.base import Shape
from core.spec.layer_base import ShapeError
from core.spec.network_base import Placed, place


@dataclass(frozen=True, slots=True)
class Maps:
    """`size` holds one length or two; `layout` says where the channels of two axes stand."""

    channels: int
    size: tuple[int, ...]
    layout: str | None

    @classmethod
    def of(cls, shape: Shape, family: str) -> Maps:
        """Those of a sample; ShapeError unless it is an image or a sequence."""
        if len(shape) == 3:
            return cls(shape[0], shape[1:], None)
        if len(shape) == 2:
            # one channel before many values: what a conv1d takes for channels first
            first = shape[0] == 1 and shape[1] > 1
            return cls(shape[0], shape[1:], "channels_first") if first else cls(shape[1], shape[:1], "sequence")
        count = shape[0]
        raise ShapeError(
            f"received samples of shape {list(shape)} for the family {family}, expected images (channels, height, "
            f"width) or sequences (time, features); do set data.input_shape, to [{count}, 1] when the {count} features "
            f"are a series or to [1, height, width] when they are pixels (arrays: send them in that shape), or choose "
            "feed_forward",
            code="needs_image_or_sequence",
            field="family",
        )

    @property
    def are_images(self) -> bool:
        return len(self.size) == 2

    @property
    def shape(self) -> Shape:
        """The axes of one sample."""
        return (*self.size, self.channels) if self.layout == "sequence" else (self.channels, *self.size)

    @property
    def can_halve(self) -> bool:
        return min(self.size) >= 2

    def layer(self, kind: str, field: str, /, **fields: Any) -> Placed:
        """A layer that reads these maps; a `{}` in its type becomes the number of lengths."""
        layout: dict[str, Any] = {"layout": self.layout} if self.layout else {}
        return place(kind.format(f"{len(self.size)}d"), field, **fields, **layout)

    def with_channels(self, channels: int) -> Maps:
        return replace(self, channels=channels)

    def halved(self) -> Maps:
        """Behind a pool of 2."""
        return replace(self, size=tuple(length // 2 for length in self.size))

    def strided(self) -> Maps:
        """Behind a convolution of stride 2 that is padded by half its kernel."""
        return replace(self, size=tuple(-(-length // 2) for length in self.size))
