"""First values that layers take from the data: before the first step, never on a resume."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Generator, Tensor, nn

from core.engine.outputs import forward
from core.engine.seeds import generator

_MOST_ROWS = 10_000


@runtime_checkable
class BeginsFromData(Protocol):
    """A layer whose first values follow from what reaches it."""

    def begin_from(self, x: Tensor, source: Generator) -> None:
        """Sets the first values from `x`, (N, ...) as it reaches the layer from training rows."""
        ...


def begin_from_data(network: nn.Module, x: Tensor, seed: int) -> None:
    """Layer after layer, each fed by those before it as they begin; of many rows 10,000 are drawn.

    The network runs as in evaluation, so that no running statistics move and no noise is drawn.
    """
    layers = [module for module in network.modules() if isinstance(module, BeginsFromData)]
    device = next(network.parameters()).device if layers else x.device
    for index, layer in enumerate(layers):
        source = generator(seed, "from_data", index)
        rows = x
        if len(x) > _MOST_ROWS:
            rows = x[torch.randperm(len(x), generator=source)[:_MOST_ROWS].to(x.device)]
        layer.begin_from(_reaching(layer, network, rows.to(device)), source)
    if layers:
        network.train()


def _reaching(layer: Any, network: nn.Module, rows: Tensor) -> Tensor:
    """(N, ...) what comes to one layer of the network."""
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    try:
        forward(network, rows)
    finally:
        hook.remove()
    return torch.cat(seen)
