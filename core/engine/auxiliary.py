"""Terms that layers add to the loss in training."""

from __future__ import annotations

from torch import Tensor, nn


class AddsToLoss(nn.Module):
    """A layer with a term of its own in the objective.

    After a forward pass in training `extra_loss` is (N,), what it adds to each row's loss, until the learner takes it.
    """

    extra_loss: Tensor | None = None


def adding_to_loss(network: nn.Module) -> tuple[AddsToLoss, ...]:
    """Every module of the network, however deep, that adds to the loss."""
    return tuple(module for module in network.modules() if isinstance(module, AddsToLoss))


def take_extra_loss(modules: tuple[AddsToLoss, ...]) -> Tensor | None:
    """(N,) the sum of what the layers add to each row's loss; their memory of it is given up."""
    total: Tensor | None = None
    for module in modules:
        if module.extra_loss is not None:
            total = module.extra_loss if total is None else total + module.extra_loss
        module.extra_loss = None
    return total
