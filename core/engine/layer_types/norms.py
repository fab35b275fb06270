"""Normalisation as PyTorch modules."""

from __future__ import annotations

from torch import nn

from core.engine.layer_types.builder import Builder
from core.spec.base import Shape
from core.spec.layer_types import norms


def _batch_norm(layer: norms.BatchNorm, shape: Shape) -> nn.Module:
    kind = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d, 4: nn.BatchNorm3d}[len(shape)]
    return kind(shape[0], eps=layer.eps, momentum=layer.momentum, affine=layer.affine)


def _layer_norm(layer: norms.LayerNorm, shape: Shape) -> nn.Module:
    return nn.LayerNorm(shape[-1], eps=layer.eps, elementwise_affine=layer.affine)


BUILDERS: dict[str, Builder] = {"batch_norm": _batch_norm, "layer_norm": _layer_norm}
