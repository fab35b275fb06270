"""What a network's outputs mean: probabilities of classes, or numbers in the target's own unit."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.spec import losses

Floats = NDArray[np.float64]

# rows of a forward pass that keeps no graph: enough to be fast, few enough to stay in the cache's neighbourhood
_CHUNK_ROWS = 2048


def forward(network: nn.Module, x: Tensor, rows_at_once: int = _CHUNK_ROWS) -> Tensor:
    """The outputs of every row in evaluation mode (no dropout, running statistics); the mode is left changed."""
    network.eval()
    with torch.inference_mode():
        if len(x) <= rows_at_once:
            return network(x)  # type: ignore[no-any-return]
        return torch.cat([network(chunk) for chunk in torch.split(x, rows_at_once)])


def probabilities(z: Tensor) -> Floats:
    """(N, C) from logits (N, C), or from one logit (N, 1) of the second of two classes."""
    z = z.double()
    if z.shape[1] == 1:
        return torch.cat([torch.sigmoid(-z), torch.sigmoid(z)], 1).cpu().numpy()
    return torch.softmax(z, 1).cpu().numpy()


def numbers(z: Tensor, loss: losses.Loss) -> Floats:
    """(N, T) or (N, *shape) predictions, still in the scale of the network's targets."""
    z = z.double()
    return (z.exp() if isinstance(loss, losses.Poisson) else z).cpu().numpy()
