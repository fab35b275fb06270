"""Recurrent layers: PyTorch's modules, whose batch comes first and whose output is a tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from core.engine.layer_types.builder import Builder
from core.spec import inits
from core.spec.base import Shape
from core.spec.layer_types import recurrent


class _OneOutput(nn.Module):
    """What the three kinds share; `recurrent_init` is for `core.engine.first_values`."""

    recurrent_init: inits.Init | None = None
    whole: bool = False
    bidirectional: bool

    def chosen(self, outputs: Tensor, state: Tensor) -> Tensor:
        """(N, T, width), or (N, width) from the state (layers * directions, N, units) when each pass is over."""
        if self.whole:
            return outputs
        return torch.cat([state[-2], state[-1]], 1) if self.bidirectional else state[-1]


class RNN(_OneOutput, nn.RNN):
    """(N, T, F) to the state of an Elman network."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # a layer of nn.Sequential gives one tensor
        outputs, state = nn.RNN.forward(self, x)
        return self.chosen(outputs, state)


class LSTM(_OneOutput, nn.LSTM):
    """(N, T, F) to the hidden state; the cell stays inside."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # oneDNN has no LSTM of float16 on most processors
            with torch.autocast("cpu", enabled=torch.get_autocast_dtype("cpu") is not torch.float16):
                outputs, (state, _) = nn.LSTM.forward(self, x.float())
        else:
            outputs, (state, _) = nn.LSTM.forward(self, x)
        return self.chosen(outputs, state)


class GRU(_OneOutput, nn.GRU):
    """(N, T, F) to the state."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        outputs, state = nn.GRU.forward(self, x)
        return self.chosen(outputs, state)


def _recurrent(kind: Any) -> Builder:
    def build(layer: recurrent.Recurrent, shape: Shape) -> nn.Module:
        options = {"nonlinearity": layer.nonlinearity} if isinstance(layer, recurrent.RNN) else {}
        module: _OneOutput = kind(
            shape[-1],
            layer.units,
            num_layers=layer.layers,
            bias=layer.bias,
            batch_first=True,
            # PyTorch warns of a dropout that has nothing to act on
            dropout=layer.dropout if layer.layers > 1 else 0.0,
            bidirectional=layer.bidirectional,
            **options,
        )
        module.recurrent_init, module.whole = layer.recurrent_init, layer.output == "all"
        return module

    return build


BUILDERS: dict[str, Builder] = {"rnn": _recurrent(RNN), "lstm": _recurrent(LSTM), "gru": _recurrent(GRU)}
