"""Derivatives of the losses of rows by the network's outputs, where they are short; autograd knows the others.

Legend: z the outputs of M networks, (M, N, C), (M, N, 1) or (M, N, ...), y their targets as `losses` has them. The
derivative has the shape of z and may be overwritten. Only functions that round every value alike, wherever it stands in
memory: arithmetic, exp, tanh.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from core.engine.outputs import softmax
from core.spec import losses as spec

Each = Callable[[Tensor, Tensor], Tensor]


def derivative(loss: spec.Loss, *, is_classification: bool, is_one_logit: bool) -> Each | None:
    """d each / d z of a resolved loss; None where it is not written out here."""
    if not is_classification:
        return _numbers(loss)
    if is_one_logit:
        return _one_logit if isinstance(loss, (spec.BCE, spec.CrossEntropy)) else None
    return _classes(loss.label_smoothing) if isinstance(loss, spec.CrossEntropy) else None


def _classes(smoothing: float) -> Each:
    def of_rows(z: Tensor, y: Tensor) -> Tensor:
        p = softmax(z)
        if smoothing:
            p -= smoothing / z.shape[2]
        return p.scatter_(2, y.unsqueeze(2), smoothing - 1, reduce="add")

    return of_rows


def _one_logit(z: Tensor, y: Tensor) -> Tensor:
    """The sigmoid of z less y."""
    return z.neg().exp_().add_(1).reciprocal_().sub_(y)


def _numbers(loss: spec.Loss) -> Each:
    """A row's loss is the mean over its targets."""
    each = NUMBERS[type(loss)]
    return lambda z, y: each(loss, z, y).div_(max(1, math.prod(z.shape[2:])))


NUMBERS: dict[type[spec.LossBase], Callable[[Any, Tensor, Tensor], Tensor]] = {
    spec.MSE: lambda _, z, y: (z - y).mul_(2),
    spec.MAE: lambda _, z, y: (z - y).sign_(),
    spec.Huber: lambda loss, z, y: (z - y).clamp_(-loss.delta, loss.delta),
    spec.LogCosh: lambda _, z, y: (z - y).tanh_(),
    spec.Poisson: lambda _, z, y: z.exp() - y,
    spec.Quantile: lambda loss, z, y: torch.where(y > z, -loss.q, 1 - loss.q).to(z.dtype),
}
"""Of losses between numbers, for one target."""
