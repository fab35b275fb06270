"""The least that each layer type needs: what to say and a shape that it takes. A new type has its line here."""

from __future__ import annotations

from typing import Any

from core.spec.base import Shape
from core.spec.layers import LAYERS

_NEEDED: dict[str, tuple[dict[str, Any], Shape]] = {
    "linear": ({"units": 4}, (6,)),
    "unflatten": ({"shape": [2, 3]}, (6,)),
    "rnn": ({"units": 4}, (5, 3)),
    "lstm": ({"units": 4}, (5, 3)),
    "gru": ({"units": 4}, (5, 3)),
    "rbf": ({"units": 4}, (6,)),
    "latent": ({"units": 2}, (6,)),
    "permute": ({"axes": [1, 0]}, (4, 3)),
    "select": ({"indices": [2, 0]}, (4, 3)),
    "conv1d": ({"channels": 3, "kernel_size": 3}, (8, 2)),
    "conv2d": ({"channels": 3, "kernel_size": 3}, (2, 6, 5)),
    "conv_transpose1d": ({"channels": 3, "kernel_size": 3}, (8, 2)),
    "conv_transpose2d": ({"channels": 3, "kernel_size": 3}, (2, 6, 5)),
    "upsample": ({}, (2, 3, 4)),
    "max_pool1d": ({}, (8, 2)),
    "max_pool2d": ({}, (2, 6, 5)),
    "avg_pool1d": ({}, (8, 2)),
    "avg_pool2d": ({}, (2, 6, 5)),
    "adaptive_avg_pool1d": ({"output_size": 3}, (8, 2)),
    "adaptive_avg_pool2d": ({"output_size": [3, 2]}, (2, 6, 5)),
    "adaptive_max_pool1d": ({"output_size": 3}, (8, 2)),
    "adaptive_max_pool2d": ({"output_size": [3, 2]}, (2, 6, 5)),
    "global_avg_pool": ({}, (8, 2)),
    "global_max_pool": ({}, (2, 6, 5)),
    "group_norm": ({"groups": 2}, (6,)),
    "instance_norm": ({}, (8, 2)),
    "embedding": ({"entries": 5, "units": 3}, (4,)),
    "column_embedding": ({"columns": [{"column": "c", "index": 1, "entries": 5, "units": 3}]}, (4,)),
    "self_attention": ({"heads": 2}, (5, 4)),
    "transformer_encoder": ({"heads": 2, "hidden": 8}, (5, 4)),
    "positional_encoding": ({}, (5, 4)),
    "residual": ({"layers": [{"type": "linear", "units": 6}, {"type": "relu"}]}, (6,)),
    "parallel": ({"branches": [[{"type": "linear", "units": 3}], [{"type": "tanh"}]]}, (6,)),
}


def minimal(name: str) -> dict[str, Any]:
    """A document of that layer type with its required fields alone."""
    return {"type": name, **_NEEDED.get(name, ({}, ()))[0]}


def shape_for(name: str) -> Shape:
    """A shape of one sample that `minimal(name)` takes."""
    return _NEEDED.get(name, ({}, (6,)))[1]


def every_layer() -> list[Any]:
    """One layer of each type."""
    return [LAYERS[name].model_validate(minimal(name)) for name in LAYERS]
