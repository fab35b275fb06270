"""Layer types as PyTorch modules: one builder for each name in `core.spec.layers.LAYERS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.spec import layers
from core.spec.base import Shape
from core.spec.layer_base import LayerBase


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


def _linear(layer: layers.Linear, shape: Shape) -> nn.Module:
    return nn.Linear(shape[-1], layer.units, bias=layer.bias)


def _batch_norm(layer: layers.BatchNorm, shape: Shape) -> nn.Module:
    kind = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d, 4: nn.BatchNorm3d}[len(shape)]
    return kind(shape[0], eps=layer.eps, momentum=layer.momentum, affine=layer.affine)


def _layer_norm(layer: layers.LayerNorm, shape: Shape) -> nn.Module:
    return nn.LayerNorm(shape[-1], eps=layer.eps, elementwise_affine=layer.affine)


def _unflatten(layer: layers.Unflatten, shape: Shape) -> nn.Module:
    unflatten = nn.Unflatten(1, layer.shape)
    return unflatten if len(shape) == 1 else nn.Sequential(nn.Flatten(), unflatten)


BUILDERS: dict[str, Callable[[Any, Shape], nn.Module]] = {
    "linear": _linear,
    "flatten": lambda _layer, _shape: nn.Flatten(),
    "unflatten": _unflatten,
    "dropout": lambda layer, _shape: nn.Dropout(layer.p),
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
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
}


def build_layer(layer: LayerBase, shape: Shape) -> nn.Module:
    """The module of one layer for samples of `shape`; its first values are still to be set."""
    return BUILDERS[layer.type](layer, shape)  # type: ignore[attr-defined]  # every member of the union has a type
