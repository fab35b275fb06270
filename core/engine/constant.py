"""The loss of a network that always gives the same answer: what every other one is measured by."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from core.engine.curve_symptoms import Reference
from core.engine.losses import Loss
from core.engine.rows import Rows
from core.spec import losses as spec

# values that are enough to tell a mean by
_VALUES = 300_000


def reference(loss: Loss, of: spec.Loss, rows: Rows, *, is_classification: bool) -> Reference:
    """By the training rows, their weights counted; of the best constant among those that are best for some loss."""
    width = max(1, math.prod(rows.target.shape[1:]))
    step = -(-len(rows) * width // _VALUES)
    target = rows.target[::step]
    weight = torch.ones(len(target)) if rows.loss_weight is None else rows.loss_weight[::step].double().cpu()
    target = target.cpu()
    weight = weight / weight.sum().clamp_min(1e-300)
    candidates = _of_classes(target, weight) if is_classification else _of_numbers(target, weight, of)
    constant = min(_mean(loss, each.to(rows.x.dtype), target, weight) for each in candidates)
    perfect = 0.0
    if isinstance(of, spec.Poisson):
        # z = log y; the loss of y = 0 is 0 there
        perfect = _mean_each(loss, target.clamp_min(1e-12).log(), target, weight)
    share = _greatest_share(target, weight) if is_classification else 1.0
    return Reference(constant, perfect if math.isfinite(perfect) else 0.0, share)


def _greatest_share(target: Tensor, weight: Tensor) -> float:
    """Of the rows' weight, that of the greatest class."""
    logits = _of_classes(target, weight)[0]
    return float(torch.sigmoid(logits.abs()) if len(logits) == 1 else logits.exp().max())


def _of_classes(target: Tensor, weight: Tensor) -> list[Tensor]:
    """Logits of the shares of the classes, and of the greatest class alone (for a hinge); targets may be smoothed."""
    if target.ndim == 2 and target.shape[1] == 1:
        positive = float(((target[:, 0] > 0.5).double() * weight).sum())
        logit = math.log(max(positive, 1e-9) / max(1 - positive, 1e-9))
        return [torch.tensor([logit]), torch.tensor([1.0 if positive > 0.5 else -1.0])]
    index = target if target.ndim == 1 else target.argmax(1)
    shares = torch.zeros(int(index.max()) + 1 if target.ndim == 1 else target.shape[1], dtype=torch.float64)
    shares.index_add_(0, index, weight.double())
    return [shares.clamp_min(1e-9).log(), torch.nn.functional.one_hot(shares.argmax(), len(shares)).double()]


def _of_numbers(target: Tensor, weight: Tensor, of: spec.Loss) -> list[Tensor]:
    """Means, medians, a quantile; the logarithm of the mean where outputs are logarithms."""
    flat = target.double().flatten(1)
    mean = (flat * weight[:, None]).sum(0)
    if isinstance(of, spec.Poisson):
        return [mean.clamp_min(1e-9).log().reshape(target.shape[1:])]
    if isinstance(of, spec.MSE):
        return [mean.reshape(target.shape[1:])]
    q = of.q if isinstance(of, spec.Quantile) else 0.5
    return [mean.reshape(target.shape[1:]), flat.quantile(q, dim=0).reshape(target.shape[1:])]


def _mean(loss: Loss, constant: Tensor, target: Tensor, weight: Tensor) -> float:
    return _mean_each(loss, constant.expand(len(target), *constant.shape), target, weight)


def _mean_each(loss: Loss, outputs: Tensor, target: Tensor, weight: Tensor) -> float:
    with torch.inference_mode():
        return float((loss.each(outputs, target).double() * weight).sum())
