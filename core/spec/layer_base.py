"""What a layer type says of itself: the shape it gives, its parameters, its arithmetic. Plain integers only."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from core.spec.base import Shape, SpecModel

WEIGHT_INIT = "first values of the weights; null: network.init"
BIAS_INIT = "first values of the bias; null: zeros, or PyTorch's own with init torch"

Layout = Literal["sequence", "channels_first"]
LayoutChoice = Literal["auto", "sequence", "channels_first"]
LAYOUT = (
    "what two axes mean: sequence (time, features) or channels_first (channels, length); auto: as the layers before "
    "it, channels_first for data of one channel; nothing to other numbers of axes"
)

MOST_VALUES = 10**12
"""Of one sample between two layers: far beyond any memory, near enough for arithmetic that sums and prints them."""


@dataclass(frozen=True, slots=True)
class Code:
    """An input that is the code of a category: its column, its place, and how many codes there are."""

    column: str
    index: int
    entries: int


@dataclass(frozen=True, slots=True)
class Signal:
    """What passes from layer to layer: the shape of one sample, and what its two axes mean where it has two.

    `whole` are numbers as they came from the data, which alone may be codes for an embedding. `codes` are those of a
    table's columns, None behind the first layer.
    """

    shape: Shape
    layout: Layout | None = None
    whole: bool = False
    codes: tuple[Code, ...] | None = None

    @property
    def meaning(self) -> Layout:
        """What two axes mean when no layer before has said it."""
        return self.layout or ("channels_first" if self.shape[0] == 1 and self.shape[-1] > 1 else "sequence")


@dataclass(frozen=True, slots=True)
class Part:
    """A layer within a block, `path` from the block to it, and the shape of one sample that reaches it."""

    path: str
    layer: LayerBase
    shape: Shape


class ShapeError(ValueError):
    """A layer cannot take the shape that reaches it; `field` is the part of the layer to change, "" for all of it."""

    def __init__(self, detail: str, *, code: str = "shape_mismatch", field: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.field = field

    def within(self, path: str) -> ShapeError:
        """The same fault as seen from the block that holds the layer at `path`."""
        return ShapeError(self.detail, code=self.code, field=f"{path}/{self.field}" if self.field else path)


Fault = Callable[[ShapeError], None]


class LayerBase(SpecModel):
    """A layer that keeps the shape and has no parameters; others override what differs.

    `shape` is always the shape of one sample that comes in, without the batch axis. A layer whose first values may be
    chosen has the fields `init` and, for its bias, `bias_init`; one that reads two axes either way has `layout`. Plan
    and engine fill these by their names.
    """

    synonyms: ClassVar[Mapping[str, str]] = {}
    """What other libraries call a field: their name to ours."""
    widths: ClassVar[tuple[str, ...]] = ()
    """Fields that say how many values a layer gives; a limit of the service holds for each."""
    nonlinear: ClassVar[bool] = False
    """Bends: two linear layers around it do not collapse into one."""
    linear_map: ClassVar[bool] = False
    """A learnt linear map: two of them with nothing that bends between them are one."""
    normalises: ClassVar[bool] = False
    """Brings values to a scale of its own, so that none vanish or explode behind it."""
    over_batch: ClassVar[bool] = False
    """Computes over the samples of a batch, of which it needs two."""
    over_time: ClassVar[bool] = False
    """Reads (time, features) and nothing else."""
    keeps_codes: ClassVar[bool] = False
    """Moves values about and changes none."""
    cost: ClassVar[int] = 0
    """Floating-point operations for each value, for layers that work value by value."""

    @model_validator(mode="before")
    @classmethod
    def _under_our_names(cls, value: Any) -> Any:
        """The same fields under our names; one that is given under both is a fault."""
        if not isinstance(value, dict):
            return value
        for theirs, ours in cls.synonyms.items():
            if theirs not in value:
                continue
            if ours in value:
                raise PydanticCustomError(
                    "two_names",
                    "received both {ours} and {theirs}, expected one of them: they are the same field; do remove "
                    "{theirs}",
                    {"ours": ours, "theirs": theirs, "field": theirs},
                )
            value = {ours if name == theirs else name: given for name, given in value.items()}
        return value

    def enter(self, signal: Signal, fault: Fault) -> tuple[Self, Signal | None]:
        """This layer with all decided that what comes in decides, and what goes out; None behind a fault."""
        try:
            layer = self.settled(signal)
            after = layer.passed(signal)
            if math.prod(after.shape) > MOST_VALUES:
                raise ShapeError(
                    f"received sizes that give {list(after.shape)} out of {list(signal.shape)}, expected at most "
                    f"{MOST_VALUES} values; do lower them",
                    code="too_many_values",
                )
            return layer, after
        except ShapeError as error:
            fault(error)
            shape = self.shape_of_any()
            return self, None if shape is None else Signal(shape, whole=signal.whole and self.keeps_codes)

    def settled(self, signal: Signal) -> Self:
        """This layer with all decided that what comes in decides; raises ShapeError."""
        if len(signal.shape) != 2:
            return self
        if self.over_time and signal.meaning == "channels_first":
            raise ShapeError(
                f"received (channels, length) = {list(signal.shape)}, expected (time, features); do put "
                '{"type": "permute", "axes": [1, 0]} before this layer',
                code="needs_permute",
            )
        return self.model_copy(update={"layout": signal.meaning}) if getattr(self, "layout", None) == "auto" else self

    def passed(self, signal: Signal) -> Signal:
        """What goes out of the settled layer; raises ShapeError."""
        shape = self.output_shape(signal.shape)
        layout: Layout | None = None
        if len(shape) == len(signal.shape) == 2:
            layout = "sequence" if self.over_time else getattr(self, "layout", signal.layout)
        return Signal(shape, layout, signal.whole and self.keeps_codes)

    def in_channels_first(self, shape: Shape) -> bool:
        """Whether the first axis of `shape` holds the channels: always but in sequences, whose last one does."""
        layout = getattr(self, "layout", "auto")
        return len(shape) != 2 or (Signal(shape).meaning if layout == "auto" else layout) == "channels_first"

    def output_shape(self, shape: Shape) -> Shape:
        """The shape that goes out; raises ShapeError."""
        return shape

    def shape_of_any(self) -> Shape | None:
        """The shape that goes out whatever comes in, None when that depends; for networks whose input is not known."""
        return None

    def parameter_count(self, shape: Shape) -> int:  # noqa: ARG002 - layers with parameters override it
        """How many numbers are learnt."""
        return 0

    def flops(self, shape: Shape) -> int:
        """Floating-point operations of one sample's forward pass; a multiply-add counts two.

        Products of matrices and convolutions count as `torch.utils.flop_counter` counts them; biases, norms, pooling
        and functions of one value, which it leaves out, count the operations of their formula.
        """
        return self.cost * math.prod(shape)

    def stored_values(self, shape: Shape) -> int:
        """Numbers of one sample that training keeps for the way back: the outputs, and what lies between."""
        return math.prod(self.output_shape(shape))

    def bends(self) -> bool:
        """Whether it is no linear map: a block asks the layers that it holds."""
        return self.nonlinear

    def parts(self, shape: Shape) -> tuple[Part, ...]:  # noqa: ARG002 - blocks override it
        """The layers of a block with what reaches each; nothing for other layers."""
        return ()

    def inner(self) -> tuple[tuple[str, LayerBase], ...]:
        """The layers that the user wrote into a block, each with its path; nothing for other layers."""
        return ()

    def with_inner(self, change: Callable[[Any], Any]) -> Self:  # noqa: ARG002 - blocks override it
        """The same with each layer that it holds changed."""
        return self

    def everything(self) -> Iterator[LayerBase]:
        """This layer and all within it, to any depth."""
        yield self
        for _, layer in self.inner():
            yield from layer.everything()
