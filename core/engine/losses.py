"""What training makes small: for each name in `core.spec.losses` the loss of every row, and its mean over a batch.

Legend: N rows, C classes, T targets; `z` the network's outputs, (N, C), (N, 1) for two classes, (N, T) or (N, *shape).
A row's loss is the mean over its targets, so that a sum is a sum over rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from core.engine.slopes import Each, derivative
from core.engine.steps.blocks import apart
from core.spec import losses as spec


@dataclass(frozen=True, slots=True)
class Loss:
    """`encode` makes the target that the others take out of the data's y, once for all rows."""

    encode: Callable[[Tensor], Tensor]
    each: Each
    """(z, target) -> (N,), every row's loss."""
    mean: Each
    """(z, target) -> (), the plain mean: the fast way when no row has a weight."""
    reduction: str
    mean_weight: float | None = None
    """The training rows' mean weight, when some weights are negative; None otherwise."""
    told: str = ""
    """The loss as its spec has it."""
    derivative: Each | None = None
    """(z, target) -> d each / d z for M networks, the shape of z (M, N, ...), where it is written out."""
    takes_stacks: bool = False
    """Whether `each` takes (M, N, C) and (M, N) as well, and gives (M, N)."""

    def __call__(self, z: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """The loss of a batch: sum(w l)/sum(w), or sum(w l) when the reduction is the sum.

        With negative weights a batch's own sum may be next to 0, so N times the mean weight stands for it: the
        gradient is then, on average over the batches, that of the whole training part's sum(w l)/sum(w).
        """
        if weight is None:
            return self.mean(z, target) if self.reduction == "mean" else self.each(z, target).sum()
        return self.reduced(self.each(z, target), weight)

    def reduced(self, each: Tensor, weight: Tensor | None) -> Tensor:
        """() of values of rows (N,), as the rows' losses make the batch's."""
        if weight is None:
            return each.mean() if self.reduction == "mean" else each.sum()
        total = (each * weight).sum()
        if self.mean_weight is not None and self.reduction == "mean":
            return total / (len(weight) * self.mean_weight)
        # a batch whose weights are all zero teaches nothing, and is no 0/0
        return total / weight.sum().clamp_min(1e-30) if self.reduction == "mean" else total

    def of_rows(self, z: Tensor, target: Tensor) -> Tensor:
        """(M, N) every row's loss in double precision, for outputs z and targets (M, N, ...) of M networks."""
        if self.takes_stacks:
            return self.each(z, target).double()
        # one by one: what a network comes to does not depend on the others
        return torch.stack([self.each(*pair) for pair in zip(z, target, strict=True)]).double()

    def slope(self, z: Tensor, target: Tensor) -> Tensor:
        """d each / d z for outputs of M networks, z (M, N, ...) and target (M, N, ...); the shape of z."""
        if self.derivative is not None:
            return self.derivative(z, target)
        # one by one: what a network comes to does not depend on the others
        return torch.stack([self._recorded_slope(*pair) for pair in zip(z, target, strict=True)])

    def _recorded_slope(self, z: Tensor, target: Tensor) -> Tensor:
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            return torch.autograd.grad(self.each(z, target).sum(), z)[0]

    def for_weights(self, weight: Tensor | None) -> Loss:
        """The loss for a training part with these weights (N,), whose sum is above 0."""
        if weight is None or not bool((weight < 0).any()):
            return self
        return replace(self, mean_weight=float(weight.double().mean()))


def build_loss(loss: spec.Loss, task: str, num_outputs: int, num_classes: int, precision: torch.dtype) -> Loss:
    """The loss of a resolved spec for a network of `num_outputs` outputs (C or 1 in classification)."""
    built = _build(loss, task, num_outputs, num_classes, precision)
    return replace(
        built,
        told=f"{task} {loss.model_dump_json(exclude={'class_weight'})}",
        derivative=derivative(loss, is_classification=task == "classification", is_one_logit=num_outputs == 1),
    )


def _build(loss: spec.Loss, task: str, num_outputs: int, num_classes: int, precision: torch.dtype) -> Loss:
    if task != "classification":
        each = _numbers(loss)
        return Loss(lambda y: y.to(precision), each, lambda z, t: each(z, t).mean(), loss.reduction)
    smoothing = loss.label_smoothing
    if num_outputs == 1:
        signed = isinstance(loss, spec.Hinge)
        each = _two_classes(loss)

        def encode(y: Tensor) -> Tensor:
            positive = y.to(precision).unsqueeze(1)
            return 2 * positive - 1 if signed else positive * (1 - smoothing) + smoothing / 2

        if isinstance(loss, (spec.BCE, spec.CrossEntropy)):
            return Loss(encode, each, functional.binary_cross_entropy_with_logits, loss.reduction)
        return Loss(encode, each, lambda z, t: each(z, t).mean(), loss.reduction)
    if isinstance(loss, (spec.CrossEntropy, spec.Hinge)):
        each, mean = _class_index(loss), _class_index(loss, "mean")
        return Loss(lambda y: y, each, mean, loss.reduction, takes_stacks=isinstance(loss, spec.CrossEntropy))
    each = _class_shares(loss)

    def shares(y: Tensor) -> Tensor:
        return functional.one_hot(y, num_classes).to(precision) * (1 - smoothing) + smoothing / num_classes

    return Loss(shares, each, lambda z, t: each(z, t).mean(), loss.reduction)


def class_weights(loss: spec.Loss, counts: list[float], names: list[str]) -> list[float] | None:
    """The weight of each class, None when all count alike; `counts` are the training rows (or weights) of each."""
    wanted = loss.class_weight
    if wanted is None:
        return None
    if wanted == "balanced":
        total = sum(counts)
        return [total / (len(counts) * count) if count else 0.0 for count in counts]
    if isinstance(wanted, dict):
        return [wanted.get(name, 1.0) for name in names]
    assert isinstance(wanted, tuple)
    return list(wanted)


def _per_row(values: Tensor) -> Tensor:
    return values if values.ndim == 1 else values.flatten(1).mean(1)


def _numbers(loss: spec.Loss) -> Each:
    """Losses between numbers; e = z - y."""
    match loss:
        case spec.MSE():
            return lambda z, y: _per_row((z - y).square())
        case spec.MAE():
            return lambda z, y: _per_row((z - y).abs())
        case spec.Huber():
            return lambda z, y: _per_row(functional.huber_loss(z, y, reduction="none", delta=loss.delta))
        case spec.LogCosh():
            return lambda z, y: _per_row(_log_cosh(z - y))
        case spec.Poisson():
            return lambda z, y: _per_row(z.exp() - y * z)
        case spec.Quantile():
            return lambda z, y: _per_row(torch.maximum(loss.q * (y - z), (loss.q - 1) * (y - z)))
        case _:
            raise AssertionError(f"{loss.type} is no loss between numbers")


def _log_cosh(e: Tensor) -> Tensor:
    """|e| + log(1 + exp(-2|e|)) - log 2, which does not overflow."""
    return e.abs() + functional.softplus(-2 * e.abs()) - math.log(2)


def _two_classes(loss: spec.Loss) -> Each:
    """One logit z; y is 1 for the second class, -1 or 0 for the first."""
    match loss:
        case spec.BCE() | spec.CrossEntropy():
            return lambda z, y: functional.binary_cross_entropy_with_logits(z, y, reduction="none").squeeze(1)
        case spec.Hinge():
            return lambda z, y: (1 - y * z).clamp_min(0).squeeze(1)
        case spec.MSE():
            return lambda z, y: (torch.sigmoid(z) - y).square().squeeze(1)
        case spec.Focal():
            return lambda z, y: _binary_focal(z, y, loss.gamma).squeeze(1)
        case _:
            raise AssertionError(f"{loss.type} is no loss between classes")


def _binary_focal(z: Tensor, y: Tensor, gamma: float) -> Tensor:
    positive = torch.sigmoid(-z) ** gamma * functional.softplus(-z)
    negative = torch.sigmoid(z) ** gamma * functional.softplus(z)
    return y * positive + (1 - y) * negative


def _cross_entropy(z: Tensor, y: Tensor, smoothing: float) -> Tensor:
    """(N,) log sum exp z - (1 - smoothing) z_y - smoothing mean z: for ten classes a quarter of PyTorch's time.

    Likewise (M, N) of a stack, each network's logarithms in a block of their own.
    """
    greatest = z.detach().amax(-1, keepdim=True)
    total = (z - greatest).exp().sum(-1)
    normaliser = (total if total.ndim == 1 else apart(total)).log() + greatest.squeeze(-1)
    called = z.gather(-1, y.unsqueeze(-1)).squeeze(-1)
    if smoothing:
        called = (1 - smoothing) * called + smoothing * z.mean(-1)
    return normaliser - called


def _class_index(loss: spec.CrossEntropy | spec.Hinge, reduction: str = "none") -> Each:
    """Losses that take the index of the class."""
    if isinstance(loss, spec.CrossEntropy):
        smoothing = loss.label_smoothing
        if reduction == "none":
            return lambda z, y: _cross_entropy(z, y, smoothing)
        return lambda z, y: functional.cross_entropy(z, y, reduction=reduction, label_smoothing=smoothing)

    def crammer_singer(z: Tensor, y: Tensor) -> Tensor:
        right = z.gather(1, y.unsqueeze(1))
        others = z.scatter(1, y.unsqueeze(1), -math.inf).amax(1, keepdim=True)
        margin = (1 + others - right).clamp_min(0).squeeze(1)
        return margin.mean() if reduction == "mean" else margin

    return crammer_singer


def _class_shares(loss: spec.Loss) -> Each:
    """Losses that take the share of each class, (N, C), one-hot or smoothed."""
    if isinstance(loss, spec.MSE):
        return lambda z, y: (functional.softmax(z, 1) - y).square().mean(1)
    assert isinstance(loss, spec.Focal), f"{loss.type} is no loss between classes"
    gamma = loss.gamma

    def focal(z: Tensor, y: Tensor) -> Tensor:
        log_p = functional.log_softmax(z, 1)
        return -(y * (1 - log_p.exp()).clamp_min(0) ** gamma * log_p).sum(1)

    return focal
