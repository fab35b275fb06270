"""Recurrent layers over sequences (time, features), with PyTorch's gates, names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.spec.base import Bool, Count, Fraction, Shape
from core.spec.inits import Init
from core.spec.layer_base import BIAS_INIT, LayerBase, ShapeError

_UNITS = "size of the hidden state, from 1; both directions together give twice as many outputs"
_INIT = "first values of the input weights of every gate; null: network.init"
_RECURRENT_INIT = (
    "first values of the state's weights of every gate; null: PyTorch's own with init torch, else orthogonal "
    "(Saxe et al. 2014), which keeps the state's length"
)


class Recurrent(LayerBase):
    """What all three kinds take: (T, F) in, the state after the last step or after each one out."""

    synonyms: ClassVar[Mapping[str, str]] = {"hidden_size": "units", "num_layers": "layers"}
    widths: ClassVar[tuple[str, ...]] = ("units",)
    nonlinear: ClassVar[bool] = True
    over_time: ClassVar[bool] = True
    gates: ClassVar[int]
    """Matrices for the input and as many for the state."""
    pointwise: ClassVar[int]
    """Operations for each unit and step beside those of the matrices and biases."""
    units: Count = Field(description=_UNITS)
    layers: Annotated[Count, Field(le=100)] = Field(1, description="layers on top of each other, 1 to 100; default 1")
    bidirectional: Bool = Field(False, description="a second pass from the end to the start, its outputs beside")
    output: Literal["last", "all"] = Field(
        "last",
        description="last: (units,), the state when a pass is over (backwards: at the first step); all: (T, units)",
    )
    dropout: Fraction = Field(0.0, description="probability of dropping a value between layers, 0 up to 1; default 0")
    bias: Bool = Field(True, description="whether gates have biases (two each, as PyTorch has them); default true")
    init: Init | None = Field(None, description=_INIT)
    recurrent_init: Init | None = Field(None, description=_RECURRENT_INIT)
    bias_init: Init | None = Field(None, description=BIAS_INIT)

    @property
    def width(self) -> int:
        """Values a step."""
        return self.units * (2 if self.bidirectional else 1)

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 2:
            raise ShapeError(
                f"received an input of shape {list(shape)}, expected a sequence (time, features); " + _remedy(shape),
                code="needs_sequence",
            )
        return (self.width,) if self.output == "last" else (shape[0], self.width)

    def shape_of_any(self) -> Shape | None:
        return (self.width,) if self.output == "last" else None

    def parameter_count(self, shape: Shape) -> int:
        per_unit = sum(fed + self.units + (2 if self.bias else 0) for fed in self._fed(shape))
        return self.gates * self.width * per_unit

    def flops(self, shape: Shape) -> int:
        """For each step: the gates' matrices and biases, and what is done with them unit by unit."""
        per_unit = sum(
            self.gates * (2 * (fed + self.units) + (2 if self.bias else 0)) + self.pointwise for fed in self._fed(shape)
        )
        return shape[0] * self.width * per_unit

    def stored_values(self, shape: Shape) -> int:
        """The gates of every step, what is made of them, and the state."""
        return self.layers * shape[0] * self.width * (self.gates + 3)

    def _fed(self, shape: Shape) -> list[int]:
        """Values a step that reach each of the layers."""
        return [shape[-1]] + [self.width] * (self.layers - 1)


def _remedy(shape: Shape) -> str:
    if len(shape) != 1:
        return 'do put {"type": "unflatten", "shape": [time, features]} before this layer'
    return (
        f"do set data.input_shape to [{shape[0]}, 1] if the features are a series, or put "
        f'{{"type": "unflatten", "shape": [{shape[0]}, 1]}} before this layer; a layer before it must give output all'
    )


class RNN(Recurrent):
    """h_t = g(W x_t + b + U h_(t-1) + c), Elman 1990; g is tanh or ReLU."""

    gates: ClassVar[int] = 1
    pointwise: ClassVar[int] = 5
    type: Literal["rnn"] = "rnn"
    nonlinearity: Literal["tanh", "relu"] = Field("tanh", description="g: tanh or relu; default tanh")


class LSTM(Recurrent):
    """Long short-term memory: a cell with gates for input, forgetting and output, Hochreiter and Schmidhuber 1997."""

    gates: ClassVar[int] = 4
    pointwise: ClassVar[int] = 28
    type: Literal["lstm"] = "lstm"


class GRU(Recurrent):
    """Gated recurrent unit: gates for reset and update, no cell, Cho et al. 2014 (PyTorch's form)."""

    gates: ClassVar[int] = 3
    pointwise: ClassVar[int] = 20
    type: Literal["gru"] = "gru"
