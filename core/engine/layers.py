"""Layer types as PyTorch modules: one builder for each name in `core.spec.layers.LAYERS`."""

from __future__ import annotations

from torch import nn

from core.engine.layer_types import (
    activations,
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
from core.engine.layer_types.builder import Builder
from core.spec.base import Shape
from core.spec.layer_base import LayerBase

BUILDERS: dict[str, Builder] = {
    **basic.BUILDERS,
    **conv.BUILDERS,
    **pool.BUILDERS,
    **norms.BUILDERS,
    **recurrent.BUILDERS,
    **kernel.BUILDERS,
    **stochastic.BUILDERS,
    **regularizers.BUILDERS,
    **embedding.BUILDERS,
    **columns.BUILDERS,
    **attention.BUILDERS,
    "residual": lambda layer, shape: blocks.residual(layer, shape, build_layer),
    "parallel": lambda layer, shape: blocks.parallel(layer, shape, build_layer),
    **activations.BUILDERS,
}


def build_layer(layer: LayerBase, shape: Shape) -> nn.Module:
    """The module of one layer for samples of `shape`; its first values are still to be set."""
    return BUILDERS[layer.type](layer, shape)  # type: ignore[attr-defined]  # every member of the union has a type
