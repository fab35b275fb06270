"""Layers as a plan settles them and as modules, for tests that hold them against references."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from core.engine.network import build_network
from core.spec.layer_base import LayerBase, ShapeError, Signal
from core.spec.layers import LAYERS
from core.spec.network import LayeredNetwork

Document = dict[str, Any]


def settled(document: Document, shape: tuple[int, ...], layout: Any = None) -> Any:
    """The layer as a plan resolves it; a fault is raised."""

    def fault(error: ShapeError) -> None:
        raise error

    layer: LayerBase = LAYERS[document["type"]].model_validate(document)
    return layer.enter(Signal(shape, layout, whole=True), fault)[0]


def module_of(layer: Any, shape: tuple[int, ...], precision: str = "float64", seed: int = 2) -> nn.Module:
    return build_network(LayeredNetwork(layers=(layer,)), shape, seed=seed, precision=precision)[0]


def inputs(shape: tuple[int, ...], name: str = "", dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    if name.endswith("embedding"):
        return torch.randint(0, 5, (3, *shape), generator=generator).to(dtype)
    return torch.randn(3, *shape, dtype=dtype, generator=generator)


BLOCKS: list[tuple[Document, tuple[int, ...]]] = [
    ({"type": "residual", "layers": [{"type": "linear", "units": 3}, {"type": "relu"}]}, (6,)),
    (
        {
            "type": "residual",
            "layers": [{"type": "conv2d", "channels": 4, "kernel_size": 3, "stride": 2, "padding": 1}],
            "activation": "prelu",
        },
        (2, 7, 8),
    ),
    ({"type": "residual", "layers": [{"type": "conv1d", "channels": 5, "kernel_size": 3, "padding": "same"}]}, (9, 2)),
    ({"type": "residual", "layers": [{"type": "self_attention"}], "shortcut": "projection"}, (5, 4)),
    (
        {
            "type": "parallel",
            "branches": [
                [],
                [{"type": "conv2d", "channels": 3, "kernel_size": 3, "padding": "same"}],
                [
                    {"type": "max_pool2d", "kernel_size": 3, "stride": 1, "padding": 1},
                    {"type": "residual", "layers": [{"type": "conv2d", "channels": 5, "kernel_size": 1}]},
                ],
            ],
        },
        (2, 6, 6),
    ),
    ({"type": "parallel", "combine": "sum", "branches": [[{"type": "linear", "units": 6}], []]}, (6,)),
    (
        {
            "type": "parallel",
            "merge": "concat",
            "branches": [[], [{"type": "conv1d", "channels": 3, "kernel_size": 1}]],
        },
        (8, 2),
    ),
]
"""Blocks with the shapes that come in."""
