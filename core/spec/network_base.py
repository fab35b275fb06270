"""What every network says of itself: the layers it expands to. A family is a class in `family_types/`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from core.spec.base import Count, Shape, SpecModel
from core.spec.inits import Init
from core.spec.layer_base import ShapeError
from core.spec.layers import LAYERS, Layer

Layers = Annotated[tuple[Layer, ...], Field(max_length=10_000)]
Hidden = Annotated[tuple[Count, ...], Field(min_length=1, max_length=1000)]

_HEAD = "output layers in place of those that follow from the task; null: those of the task"
_INIT = "first values of every layer that names none of its own; default torch"


@dataclass(frozen=True, slots=True)
class Placed:
    """A layer and where the user wrote what it comes from: a pointer into the document that was sent.

    `is_code`: what it gives is the network's code of a sample.
    """

    layer: Layer
    pointer: str
    is_code: bool = False


class NetworkBase(SpecModel):
    """What every network takes."""

    reproduces: ClassVar[bool] = False
    """A family that learns its own inputs: its task is reconstruction and no other."""
    head: Layers | None = Field(None, description=_HEAD)
    init: Init | None = Field(None, description=_INIT)

    @abstractmethod
    def body(self, shape: Shape | None) -> list[Placed]:
        """The layers before the output for samples of `shape`, None while it is not known; raises ShapeError."""

    def ending(self, wanted: Shape) -> list[Placed] | None:  # noqa: ARG002 - families with an end of their own override it
        """Output layers of its own for outputs of the shape `wanted`; None: those that the task asks for."""
        return None


def place(kind: str, field: str = "", /, *, is_code: bool = False, **fields: Any) -> Placed:
    """A layer of the type `kind` that comes from `field` of the family, "" for the family as a whole."""
    layer: Any = LAYERS[kind].model_validate({"type": kind, **fields})
    return Placed(layer, f"/network/{field}".rstrip("/"), is_code)


def flattened(shape: Shape | None) -> list[Placed]:
    """Flatten where a sample has several axes."""
    return [place("flatten")] if shape is not None and len(shape) > 1 else []


def in_time(shape: Shape | None) -> list[Placed]:
    """What brings (1, length), which is one channel, to (time, features)."""
    one_channel = shape is not None and len(shape) == 2 and shape[0] == 1 and shape[1] > 1
    return [place("permute", axes=[1, 0])] if one_channel else []


def needs_sequence(shape: Shape | None, family: str) -> None:
    """Raises ShapeError unless samples are sequences (time, features) or not known."""
    if shape is None or len(shape) == 2:
        return
    if len(shape) == 1:
        do = (
            f"set data.input_shape to [{shape[0]}, 1] when the {shape[0]} features are a series (arrays: send them as "
            f"(N, {shape[0]}, 1)), or choose feed_forward"
        )
    else:
        do = "choose convolutional, or feed_forward"
    raise ShapeError(
        f"received samples of shape {list(shape)} for the family {family}, expected sequences (time, features); "
        f"do {do}",
        code="needs_sequence",
        field="family",
    )


def chain(*parts: Iterable[Placed]) -> list[Placed]:
    """The layers of all parts, one after another."""
    return [each for part in parts for each in part]
