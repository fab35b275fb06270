"""What a network's outputs mean: probabilities of classes, or numbers in the target's own unit."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.engine.residence import sent
from core.spec import losses

Floats = NDArray[np.float64]

# of a module that does not say itself, as `core.engine.network.Network` does
_ROWS_AT_ONCE = 2048


def forward(
    network: nn.Module, x: Tensor, rows_at_once: int | None = None, device: torch.device | None = None
) -> Tensor:
    """The outputs of every row in evaluation mode (no dropout, running statistics); the mode is left changed.

    `device` is the network's, where rows are not on it already.
    """
    network.eval()
    most = rows_at_once or int(getattr(network, "rows_at_once", _ROWS_AT_ONCE))
    with torch.inference_mode():
        if len(x) <= most:
            return network(at_hand(x, device or x.device))  # type: ignore[no-any-return]
        return torch.cat([network(at_hand(chunk, device or x.device)) for chunk in torch.split(x, most)])


def at_hand(x: Tensor, device: torch.device) -> Tensor:
    """Rows in one block on the device of the network."""
    return sent(x.contiguous(), device)


def probabilities(z: Tensor) -> Floats:
    """(..., N, C) from logits (..., N, C), or from one logit (..., N, 1) of the second of two classes."""
    z = z.double()
    if z.shape[-1] == 1:
        return torch.cat([torch.sigmoid(-z), torch.sigmoid(z)], -1).cpu().numpy()
    return softmax(z).cpu().numpy()


def softmax(z: Tensor) -> Tensor:
    """exp z / sum exp z over the last axis: for some ten classes a fifth of the time that PyTorch's own takes."""
    e = (z - z.amax(-1, keepdim=True)).exp_()
    return e.div_(e.sum(-1, keepdim=True))


def numbers(z: Tensor, loss: losses.Loss) -> Floats:
    """(N, T) or (N, *shape) predictions, still in the scale of the network's targets."""
    z = z.double()
    return (z.exp() if isinstance(loss, losses.Poisson) else z).cpu().numpy()
