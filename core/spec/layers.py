"""Every layer type of a network: the one closed union and the one table.

A new type is a class in `layer_types/` (fields, shape rule, parameters, operations), its line in `Layer` here, and its
builder in the file of the same name in `core/engine/layer_types/`.
"""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from core.spec.activations import ActivationLayer
from core.spec.layer_base import LayerBase
from core.spec.layer_types import basic, kernel, norms, recurrent, regularizers, stochastic

Layer = Annotated[
    basic.Linear
    | basic.Flatten
    | basic.Unflatten
    | basic.Dropout
    | norms.BatchNorm
    | norms.LayerNorm
    | recurrent.RNN
    | recurrent.LSTM
    | recurrent.GRU
    | kernel.RBF
    | stochastic.Noise
    | stochastic.Latent
    | regularizers.ActivityRegularizer
    | ActivationLayer,
    Field(discriminator="type"),
]

LAYERS: dict[str, type[LayerBase]] = {
    str(model.model_fields["type"].default): model for model in get_args(get_args(Layer)[0])
}
"""Every layer type by name; the engine's table of builders has the same keys."""
