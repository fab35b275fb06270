"""Blocks: layers that hold layers, to any depth."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field

from core.spec.activations import ActivationLayer, ActivationName
from core.spec.base import Shape
from core.spec.inits import Init
from core.spec.layer_base import LAYOUT, Fault, LayerBase, LayoutChoice, Part, ShapeError, Signal
from core.spec.layer_types.basic import Linear
from core.spec.layer_types.conv import Conv1d, Conv2d

if TYPE_CHECKING:
    from core.spec.layers import Layer

_ACTIVATIONS = {str(model.model_fields["type"].default): model for model in get_args(ActivationLayer)}


class Block(LayerBase):
    """What blocks have in common: their sizes are the sums over what they hold."""

    def parameter_count(self, shape: Shape) -> int:
        return sum(part.layer.parameter_count(part.shape) for part in self.parts(shape))

    def flops(self, shape: Shape) -> int:
        return self._own_flops(shape) + sum(part.layer.flops(part.shape) for part in self.parts(shape))

    def stored_values(self, shape: Shape) -> int:
        inner = sum(part.layer.stored_values(part.shape) for part in self.parts(shape))
        return inner + math.prod(self.output_shape(shape))

    def output_shape(self, shape: Shape) -> Shape:
        # what may come in was looked at where the plan was made
        signal = self.enter(Signal(shape, whole=True), _raise)[1]
        assert signal is not None, "a fault is raised"
        return signal.shape

    def bends(self) -> bool:
        return any(layer.bends() for _, layer in self.inner())

    @abstractmethod
    def _own_flops(self, shape: Shape) -> int:
        """What joins the ways: an addition for each value and way but one."""


class Residual(Block):
    """activation(layers(x) + x), He et al. 2016; x through a learnt projection where the shapes differ."""

    type: Literal["residual"] = "residual"
    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=1000)] = Field(
        description="layers of the way that learns the difference"
    )
    shortcut: Literal["auto", "identity", "projection"] = Field(
        "auto",
        description="the other way: x itself, or a linear map (a convolution of kernel 1 on images and sequences) to "
        "the shape that comes out; auto: itself where the shapes agree",
    )
    activation: ActivationName | None = Field(None, description="applied to the sum; null: nothing")
    init: Init | None = Field(None, description="first values of the projection's weights; null: network.init")

    def enter(self, signal: Signal, fault: Fault) -> tuple[Self, Signal | None]:
        layers, after = chain(self.layers, signal, lambda error: fault(error.within("layers")))
        block = self.model_copy(update={"layers": layers})
        if after is None:
            return block, None
        shortcut = self.shortcut
        if shortcut == "auto":
            shortcut = "identity" if after.shape == signal.shape else "projection"
        block = block.model_copy(update={"shortcut": shortcut})
        try:
            block.check_shortcut(signal, after)
        except ShapeError as error:
            fault(error)
        layout = after.layout or signal.layout if len(after.shape) == 2 else None
        return block, Signal(after.shape, layout)

    def parts(self, shape: Shape) -> tuple[Part, ...]:
        parts, after = _parts(self.layers, shape, "layers")
        if self.shortcut == "projection" or (self.shortcut == "auto" and after != shape):
            parts.append(Part("shortcut", self.projection(shape, after), shape))
        if self.activation is not None:
            parts.append(Part("activation", _ACTIVATIONS[self.activation](), after))
        return tuple(parts)

    def projection(self, shape: Shape, after: Shape) -> LayerBase:
        """The layer that brings the shortcut from `shape` to `after`; raises ShapeError where none does."""
        options: dict[str, Any] = {"bias": False, "init": self.init}
        if len(shape) != len(after) or len(shape) > 3:
            raise self._no_way(shape, after)
        if len(shape) == 1:
            return Linear(units=after[0], **options)
        first = len(shape) == 3 or self._first(shape)
        space, channels = (slice(1, None), 0) if first else (slice(None, -1), -1)
        strides = tuple(_stride(n, m) for n, m in zip(shape[space], after[space], strict=True))
        if None in strides:
            raise self._no_way(shape, after)
        options |= {"channels": after[channels], "kernel_size": 1}
        if len(shape) == 2:
            return Conv1d(stride=strides[0] or 1, layout="channels_first" if first else "sequence", **options)
        return Conv2d(stride=(strides[0] or 1, strides[1] or 1), **options)

    def inner(self) -> tuple[tuple[str, LayerBase], ...]:
        return tuple((f"layers/{index}", layer) for index, layer in enumerate(self.layers))

    def with_inner(self, change: Callable[[Any], Any]) -> Self:
        return self.model_copy(update={"layers": tuple(change(layer) for layer in self.layers)})

    def bends(self) -> bool:
        return super().bends() or self.activation is not None

    def _own_flops(self, shape: Shape) -> int:
        return math.prod(self.output_shape(shape))

    def _first(self, shape: Shape) -> bool:
        """Whether two axes are (channels, length), by the first layer within that says it."""
        said = (layer for _, each in self.inner() for layer in each.everything() if hasattr(layer, "layout"))
        layer = next(said, None)
        return Signal(shape).meaning == "channels_first" if layer is None else layer.in_channels_first(shape)

    def check_shortcut(self, signal: Signal, after: Signal) -> None:
        """Raises ShapeError where the shortcut cannot be added to what comes out of the layers."""
        if self.shortcut == "identity" and after.shape != signal.shape:
            raise ShapeError(
                f"received {list(signal.shape)} in and {list(after.shape)} out of the layers with the shortcut "
                "identity, expected the same shape; do set shortcut to auto",
                field="shortcut",
            )
        if self.shortcut == "projection":
            self.projection(signal.shape, after.shape)

    def _no_way(self, shape: Shape, after: Shape) -> ShapeError:
        return ShapeError(
            f"received {list(shape)} in and {list(after)} out of the layers, which no projection joins, expected the "
            "same axes, each as long as a stride leaves it; do keep the lengths, by padding same for example",
            code="no_shortcut",
            field="layers",
        )


class Parallel(Block):
    """The same input through several branches, joined: the inception module, Szegedy et al. 2015."""

    synonyms: ClassVar[Mapping[str, str]] = {"merge": "combine"}
    type: Literal["parallel"] = "parallel"
    branches: Annotated[
        tuple[Annotated[tuple[Layer, ...], Field(max_length=1000)], ...], Field(min_length=1, max_length=100)
    ] = Field(description="lists of layers, each from the same input; an empty one passes it on as it is")
    combine: Literal["concat", "sum"] = Field(
        "concat", description="concat: side by side along channels or features; sum: value by value; default concat"
    )
    layout: LayoutChoice = Field("auto", description=LAYOUT)

    def enter(self, signal: Signal, fault: Fault) -> tuple[Self, Signal | None]:
        branches, ends = [], []
        for index, branch in enumerate(self.branches):
            path = f"branches/{index}"
            layers, end = chain(branch, signal, lambda error, path=path: fault(error.within(path)))  # type: ignore[misc]  # mypy infers no default
            branches.append(layers)
            ends.append(end)
        block = self.model_copy(update={"branches": tuple(branches)})
        known = [end for end in ends if end is not None]
        if len(known) < len(ends):
            return block, None
        if self.layout == "auto" and len(known[0].shape) == 2:
            said = next((end.layout for end in known if end.layout), None) or known[0].meaning
            block = block.model_copy(update={"layout": said})
        try:
            shape = block.joined([end.shape for end in known])
        except ShapeError as error:
            fault(error)
            return block, None
        layout = block.layout if len(shape) == 2 and block.layout != "auto" else None
        return block, Signal(shape, layout)

    def parts(self, shape: Shape) -> tuple[Part, ...]:
        branches = (_parts(branch, shape, f"branches/{index}")[0] for index, branch in enumerate(self.branches))
        return tuple(part for branch in branches for part in branch)

    def inner(self) -> tuple[tuple[str, LayerBase], ...]:
        return tuple(
            (f"branches/{number}/{index}", layer)
            for number, branch in enumerate(self.branches)
            for index, layer in enumerate(branch)
        )

    def with_inner(self, change: Callable[[Any], Any]) -> Self:
        return self.model_copy(
            update={"branches": tuple(tuple(change(layer) for layer in branch) for branch in self.branches)}
        )

    def axis(self, shape: Shape) -> int:
        """The axis of one sample's outputs along which they stand side by side."""
        return 0 if self.in_channels_first(shape) else len(shape) - 1

    def _own_flops(self, shape: Shape) -> int:
        return 0 if self.combine == "concat" else (len(self.branches) - 1) * math.prod(self.output_shape(shape))

    def joined(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of the branches' outputs together; raises ShapeError where they do not fit."""
        first = shapes[0]
        for index, shape in enumerate(shapes):
            axis = self.axis(first) if self.combine == "concat" and len(shape) == len(first) else None
            same = [n == m or at == axis for at, (n, m) in enumerate(zip(shape, first, strict=False))]
            if len(shape) != len(first) or not all(same):
                what = "the same axes but for channels" if self.combine == "concat" else "the same shape"
                raise ShapeError(
                    f"received {list(shape)} out of this branch and {list(first)} out of the first, expected {what}; "
                    "do make the branches agree, by padding same for example",
                    field=f"branches/{index}",
                )
        if self.combine == "sum":
            return first
        axis = self.axis(first)
        return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


def chain(layers: Sequence[Any], signal: Signal, fault: Fault) -> tuple[tuple[Any, ...], Signal | None]:
    """Layers one after another with all decided, and what goes out; None behind a fault that nothing makes good."""
    settled: list[Any] = []
    now: Signal | None = signal
    for index, layer in enumerate(layers):
        if now is None:
            shape = layer.shape_of_any()
            now = None if shape is None else Signal(shape)
            settled.append(layer)
            continue
        after, now = layer.enter(now, lambda error, index=index: fault(error.within(str(index))))
        settled.append(after)
    return tuple(settled), now


def _parts(layers: Sequence[LayerBase], shape: Shape, path: str) -> tuple[list[Part], Shape]:
    parts = []
    for index, layer in enumerate(layers):
        parts.append(Part(f"{path}/{index}", layer, shape))
        shape = layer.output_shape(shape)
    return parts, shape


def _stride(n: int, m: int) -> int | None:
    """The stride by which a kernel of 1 makes m values of n, None where none does."""
    stride = -(-n // m)
    return stride if -(-n // stride) == m else None


def _raise(error: ShapeError) -> None:
    raise error
