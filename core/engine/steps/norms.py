"""Norms of a stack of networks, forward and backward. Legend as in `kernels`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from core.engine.steps.kernels import Parameter


class RowNorm:
    """Layer, group and RMS norm: each row's features, in `groups` parts, to deviation (or root mean square) 1."""

    def __init__(self, affine: Sequence[Parameter], *, groups: int, eps: float, centred: bool = True) -> None:
        self._affine = _Affine(affine)
        self._groups, self._eps, self._centred = groups, eps, centred

    def forward(self, x: Tensor) -> Tensor:
        parts = x.view(*x.shape[:2], self._groups, -1)
        if self._centred:
            parts = parts - parts.mean(-1, keepdim=True)
        variance = parts.square().mean(-1, keepdim=True)
        self._scale = variance.add_(self._eps).sqrt_().reciprocal_()
        self._unit = parts * self._scale
        return self._affine.forward(self._unit.view(x.shape))

    def infer(self, x: Tensor) -> Tensor:
        return self.forward(x)

    def backward(self, g: Tensor) -> Tensor:
        shape = g.shape
        g = self._affine.backward(g).view(self._unit.shape)
        along = (g * self._unit).mean(-1, keepdim=True)
        g = g - g.mean(-1, keepdim=True) if self._centred else g.clone()
        return g.addcmul_(self._unit, along, value=-1).mul_(self._scale).view(shape)


class BatchNorm:
    """Each feature over the rows of the batch; running moments are kept as PyTorch keeps them.

    Their tensors become rows of one for the stack, as the parameters are.
    """

    def __init__(self, modules: Sequence[nn.Module], affine: Sequence[Parameter]) -> None:
        self._affine = _Affine(affine)
        first = modules[0]
        assert isinstance(first, nn.BatchNorm1d)
        self._eps = first.eps
        self._mean, self._variance, self._seen = (
            _stacked(modules, name) for name in ("running_mean", "running_var", "num_batches_tracked")
        )
        self._momentum = self._mean.new_tensor([_momentum(module) for module in modules]).unsqueeze(1)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.shape[1]
        mean = x.mean(1, keepdim=True)
        centred = x - mean
        variance = centred.square().mean(1, keepdim=True)
        self._scale = variance.add(self._eps).sqrt_().reciprocal_()
        self._unit = centred * self._scale
        self._mean.lerp_(mean.squeeze(1), self._momentum)
        self._variance.lerp_(variance.squeeze(1).mul_(rows / max(1, rows - 1)), self._momentum)
        self._seen.add_(1)
        return self._affine.forward(self._unit)

    def infer(self, x: Tensor) -> Tensor:
        scale = self._variance.add(self._eps).sqrt_().reciprocal_()
        return self._affine.forward((x - self._mean.unsqueeze(1)) * scale.unsqueeze(1))

    def backward(self, g: Tensor) -> Tensor:
        g = self._affine.backward(g)
        along = (g * self._unit).mean(1, keepdim=True)
        return (g - g.mean(1, keepdim=True)).addcmul_(self._unit, along, value=-1).mul_(self._scale)


class _Affine:
    """gamma u + beta by feature behind a norm; gamma alone for RMS norm, neither without affine."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._values = [values.unsqueeze(1) for values, _ in parameters]
        self._gradients = [gradients for _, gradients in parameters]

    def forward(self, unit: Tensor) -> Tensor:
        self._unit = unit
        match self._values:
            case [gamma, beta]:
                return torch.addcmul(beta, gamma, unit)
            case [gamma]:
                return gamma * unit
        # the norm keeps it, and an activation behind may write into what it is given
        return unit.clone()

    def backward(self, g: Tensor) -> Tensor:
        if not self._values:
            return g
        self._gradients[0].copy_((g * self._unit).sum(1))
        if len(self._gradients) > 1:
            self._gradients[1].copy_(g.sum(1))
        return g * self._values[0]


def _stacked(modules: Sequence[nn.Module], name: str) -> Tensor:
    """The modules' buffers as rows of one tensor, of which they become views; a single one stays where it is."""
    if len(modules) == 1:
        return modules[0].get_buffer(name).unsqueeze(0)
    together = torch.stack([module.get_buffer(name) for module in modules])
    for module, row in zip(modules, together, strict=True):
        setattr(module, name, row)
    return together


def _momentum(module: nn.Module) -> float:
    assert isinstance(module, nn.BatchNorm1d)
    assert module.momentum is not None, "the spec has no cumulative average"
    return module.momentum
