"""What embeddings read are codes, seen before the first step."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from core.engine.layer_types.embedding import CodeError, Embedding
from core.engine.outputs import forward
from core.errors import TrainingFailed


def check_codes(network: nn.Module, parts: Iterable[Tensor], device: torch.device) -> None:
    """TrainingFailed where a row of `parts`, each (N, ...) of one part of the data, holds what is no code of a table.

    The network is on `device`.
    """
    if not any(isinstance(module, Embedding) for module in network.modules()):
        return
    try:
        for x in parts:
            forward(network, x, device=device)
    except CodeError as error:
        raise TrainingFailed(str(error), code="data_error", pointer="/network") from error
    network.train()
