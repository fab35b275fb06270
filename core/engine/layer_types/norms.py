"""Normalisation as PyTorch modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.engine.layer_types.builder import Builder
from core.engine.layer_types.over_time import oriented
from core.spec.base import Shape
from core.spec.layer_types import norms


class RMSNorm(nn.RMSNorm):
    """PyTorch's, written out where a graph is drawn for ONNX, which has no word for it."""

    eps: float

    def forward(self, x: Tensor) -> Tensor:
        """x/sqrt(mean of x^2 + eps) * gamma over the last axis."""
        if not torch.onnx.is_in_onnx_export():
            return super().forward(x)
        scaled = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        return scaled if self.weight is None else scaled * self.weight


def _batch_norm(layer: norms.BatchNorm, shape: Shape) -> nn.Module:
    kind = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d, 4: nn.BatchNorm3d}[len(shape)]
    options = {"eps": layer.eps, "momentum": layer.momentum, "affine": layer.affine}
    module: nn.Module = oriented(kind, layer, shape)(layer.channels_of(shape), **options)
    return module


def _group_norm(layer: norms.GroupNorm, shape: Shape) -> nn.Module:
    kind = oriented(nn.GroupNorm, layer, shape)
    module: nn.Module = kind(layer.groups, layer.channels_of(shape), eps=layer.eps, affine=layer.affine)
    return module


def _instance_norm(layer: norms.InstanceNorm, shape: Shape) -> nn.Module:
    kind = {2: nn.InstanceNorm1d, 3: nn.InstanceNorm2d, 4: nn.InstanceNorm3d}[len(shape)]
    module: nn.Module = oriented(kind, layer, shape)(layer.channels_of(shape), eps=layer.eps, affine=layer.affine)
    return module


def _layer_norm(layer: norms.LayerNorm, shape: Shape) -> nn.Module:
    return nn.LayerNorm(shape[-1], eps=layer.eps, elementwise_affine=layer.affine)


def _rms_norm(layer: norms.RMSNorm, shape: Shape) -> nn.Module:
    return RMSNorm(shape[-1], eps=layer.eps, elementwise_affine=layer.affine)


BUILDERS: dict[str, Builder] = {
    "batch_norm": _batch_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
}
