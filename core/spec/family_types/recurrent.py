"""Recurrent families over sequences (time, features)."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from core.spec.base import Bool, Fraction, Shape
from core.spec.network_base import Hidden, NetworkBase, Placed, in_time, needs_sequence, place

Cell = Literal["rnn", "lstm", "gru"]


class RecurrentFamily(NetworkBase):
    """What all three take; outputs are read from the state after the last step."""

    hidden: Hidden = Field((32,), description="units of each recurrent layer, from the input on; default [32]")
    bidirectional: Bool = Field(False, description="every layer runs from the end to the start as well; default false")
    dropout: Fraction = Field(
        0.0, description="probability of dropping a value behind each layer in training, 0 up to 1; default 0 (none)"
    )

    def body(self, shape: Shape | None) -> list[Placed]:
        kind, options = self._cell()
        needs_sequence(shape, str(getattr(self, "family", kind)))
        layers = in_time(shape)
        for index, units in enumerate(self.hidden):
            output = "last" if index == len(self.hidden) - 1 else "all"
            fields = {"units": units, "bidirectional": self.bidirectional, "output": output, **options}
            layers.append(place(kind, f"hidden/{index}", **fields))
            if self.dropout:
                layers.append(place("dropout", "dropout", p=self.dropout))
        return layers

    @abstractmethod
    def _cell(self) -> tuple[Cell, dict[str, Any]]:
        """The type of the layers and the fields that are its own."""


class RecurrentNetwork(RecurrentFamily):
    """Recurrent layers, plain ones unless `cell` says otherwise, Elman 1990."""

    family: Literal["rnn"] = Field("rnn", description="recurrent network")
    cell: Cell = Field("rnn", description="what the hidden layers are made of: rnn, lstm or gru; default rnn")
    activation: Literal["tanh", "relu"] = Field("tanh", description="of the cell rnn: tanh or relu; default tanh")

    @model_validator(mode="after")
    def _agree(self) -> RecurrentNetwork:
        if self.cell != "rnn" and self.activation != "tanh":
            raise PydanticCustomError(
                "conflicting_cell",
                "received activation {activation} with cell {cell}, whose gates have their own, expected tanh; do "
                "leave activation out",
                {"activation": self.activation, "cell": self.cell, "field": "activation"},
            )
        return self

    def _cell(self) -> tuple[Cell, dict[str, Any]]:
        return self.cell, {"nonlinearity": self.activation} if self.cell == "rnn" else {}


class LSTMNetwork(RecurrentFamily):
    """Layers of long short-term memory, Hochreiter and Schmidhuber 1997."""

    family: Literal["lstm"] = Field("lstm", description="network of memory cells")

    def _cell(self) -> tuple[Cell, dict[str, Any]]:
        return "lstm", {}


class GRUNetwork(RecurrentFamily):
    """Layers of gated recurrent units, Cho et al. 2014."""

    family: Literal["gru"] = Field("gru", description="network of gated recurrent units")

    def _cell(self) -> tuple[Cell, dict[str, Any]]:
        return "gru", {}
