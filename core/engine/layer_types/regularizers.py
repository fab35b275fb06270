"""Terms on the values that pass, as a PyTorch module."""

from __future__ import annotations

import torch
from torch import Tensor

from core.engine.auxiliary import AddsToLoss
from core.engine.layer_types.builder import Builder


class ActivityRegularizer(AddsToLoss):
    """Its input, unchanged; in training a term for each row, as the spec's class of this name says."""

    def __init__(self, l1: float, l2: float, kl: float, target: float) -> None:
        super().__init__()
        self.l1, self.l2, self.kl, self.target = l1, l2, kl, target

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.extra_loss = self._term(x.flatten(1))
        return x

    def _term(self, a: Tensor) -> Tensor:
        term = a.new_zeros(len(a))
        if self.l1:
            term = term + self.l1 * a.abs().sum(1)
        if self.l2:
            term = term + self.l2 * a.square().sum(1)
        if self.kl:
            term = term + self.kl * sparsity(a.mean(0), self.target)
        return term


def sparsity(means: Tensor, target: float) -> Tensor:
    """() sum over units of KL between coins of probability target and of the unit's mean activity."""
    # a mean of exactly 0 or 1 has no finite divergence, and one beyond them none at all
    means = means.clamp(1e-6, 1 - 1e-6)
    rare, usual = target * torch.log(target / means), (1 - target) * torch.log((1 - target) / (1 - means))
    return (rare + usual).sum()


BUILDERS: dict[str, Builder] = {
    "activity_regularizer": lambda layer, _shape: ActivityRegularizer(layer.l1, layer.l2, layer.kl, layer.target)
}
