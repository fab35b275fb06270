"""Every layer type of a network: the one closed union and the one table.

A new type is a class in `layer_types/` (fields, shape rule, parameters, operations), its line in `Layer` here, and its
builder in the file of the same name in `core/engine/layer_types/`.
"""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from core.spec.activations import ActivationLayer
from core.spec.layer_base import LayerBase
from core.spec.layer_types import (
    attention,
    basic,
    blocks,
    columns,
    conv,
    embedding,
    kernel,
    norms,
    pool,
    recurrent,
    regularizers,
    stochastic,
)

Layer = Annotated[
    basic.Linear
    | basic.Flatten
    | basic.Unflatten
    | basic.Permute
    | basic.Select
    | basic.Dropout
    | conv.Conv1d
    | conv.Conv2d
    | conv.ConvTranspose1d
    | conv.ConvTranspose2d
    | conv.Upsample
    | pool.MaxPool1d
    | pool.MaxPool2d
    | pool.AvgPool1d
    | pool.AvgPool2d
    | pool.AdaptiveAvgPool1d
    | pool.AdaptiveAvgPool2d
    | pool.AdaptiveMaxPool1d
    | pool.AdaptiveMaxPool2d
    | pool.GlobalAvgPool
    | pool.GlobalMaxPool
    | norms.BatchNorm
    | norms.LayerNorm
    | recurrent.RNN
    | recurrent.LSTM
    | recurrent.GRU
    | kernel.RBF
    | stochastic.Noise
    | stochastic.Latent
    | regularizers.ActivityRegularizer
    | norms.GroupNorm
    | norms.InstanceNorm
    | norms.RMSNorm
    | embedding.Embedding
    | columns.ColumnEmbedding
    | attention.SelfAttention
    | attention.TransformerEncoder
    | attention.PositionalEncoding
    | blocks.Residual
    | blocks.Parallel
    | ActivationLayer,
    Field(discriminator="type"),
]

# blocks hold layers of every type, themselves among them
for _block in (blocks.Residual, blocks.Parallel):
    _block.model_rebuild(_types_namespace={"Layer": Layer})

LAYERS: dict[str, type[LayerBase]] = {
    str(model.model_fields["type"].default): model for model in get_args(get_args(Layer)[0])
}
"""Every layer type by name; the engine's table of builders has the same keys."""
