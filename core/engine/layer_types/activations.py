"""Activations as PyTorch modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.engine.layer_types.builder import Builder
from core.engine.layer_types.over_time import oriented
from core.spec.activations import PReLU
from core.spec.base import Shape


class Swish(nn.Module):
    """z sigmoid(beta z); beta is a parameter when it is learnt."""

    beta: Tensor

    def __init__(self, beta: float, learnable: bool) -> None:
        super().__init__()
        if learnable:
            self.beta = nn.Parameter(torch.tensor(beta, dtype=torch.float64))
        else:
            self.register_buffer("beta", torch.tensor(beta, dtype=torch.float64), persistent=False)
        self._is_silu = beta == 1.0 and not learnable

    def forward(self, z: Tensor) -> Tensor:
        return functional.silu(z) if self._is_silu else z * torch.sigmoid(self.beta * z)


def _prelu(layer: PReLU, shape: Shape) -> nn.Module:
    slopes = layer.channels_of(shape) if layer.per_channel else 1
    module: nn.Module = oriented(nn.PReLU, layer, shape)(slopes, init=layer.slope)
    return module


BUILDERS: dict[str, Builder] = {
    "sigmoid": lambda _layer, _shape: nn.Sigmoid(),
    "tanh": lambda _layer, _shape: nn.Tanh(),
    "relu": lambda _layer, _shape: nn.ReLU(),
    "leaky_relu": lambda layer, _shape: nn.LeakyReLU(layer.negative_slope),
    "elu": lambda layer, _shape: nn.ELU(layer.alpha),
    "selu": lambda _layer, _shape: nn.SELU(),
    "gelu": lambda layer, _shape: nn.GELU(approximate=layer.approximate),
    "softplus": lambda layer, _shape: nn.Softplus(beta=layer.beta, threshold=layer.threshold),
    "swish": lambda layer, _shape: Swish(layer.beta, layer.learnable),
    "mish": lambda _layer, _shape: nn.Mish(),
    "hard_tanh": lambda layer, _shape: nn.Hardtanh(layer.min_val, layer.max_val),
    "softsign": lambda _layer, _shape: nn.Softsign(),
    "prelu": _prelu,
}
