"""A family's expansion to ordinary layers, which trains identically; and first values written out."""

from __future__ import annotations

from typing import Any

from core.spec.inits import Init, bias_default, recurrent_default
from core.spec.layer_types.stochastic import Latent
from core.spec.layers import Layer


def with_defaults(layer: Layer, default: Init, reproduced: int | None) -> Layer:
    """The layer and those within it with their first values written out, as far as they have any to choose.

    `reproduced` is how many inputs a sample has when they are the target; None otherwise.
    """
    layer = layer.with_inner(lambda inner: with_defaults(inner, default, reproduced))
    fields = type(layer).model_fields
    init: Init = getattr(layer, "init", None) or default
    update: dict[str, Any] = {}
    if "init" in fields:
        update["init"] = init
    if "bias_init" in fields:
        update["bias_init"] = getattr(layer, "bias_init", None) or bias_default(init)
    if "recurrent_init" in fields:
        update["recurrent_init"] = getattr(layer, "recurrent_init", None) or recurrent_default(init)
    if isinstance(layer, Latent) and layer.beta is None:
        update["beta"] = 1.0 if reproduced is None else 2 / reproduced
    return layer.model_copy(update=update) if update else layer
