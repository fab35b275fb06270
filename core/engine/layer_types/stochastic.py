"""Noise and the probabilistic code as PyTorch modules; draws come from torch's generator, whose state is the run's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.engine.auxiliary import AddsToLoss
from core.engine.layer_types.builder import Builder
from core.spec.base import Shape
from core.spec.layer_types import stochastic


class Noise(nn.Module):
    """Values with noise in training, as they are in evaluation."""

    def __init__(self, kind: stochastic.NoiseKind, std: float, p: float) -> None:
        super().__init__()
        self.kind, self.std, self.p = kind, std, p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        match self.kind:
            case "additive":
                return x + self.std * torch.randn_like(x)
            case "multiplicative":
                return x * (1 + self.std * torch.randn_like(x))
            case "masking":
                return torch.where(torch.rand_like(x) < self.p, torch.zeros_like(x), x)
            case "salt_and_pepper":
                drawn = torch.rand_like(x)
                spoilt = torch.where(drawn < self.p / 2, x.amin(), x.amax())
                return torch.where(drawn < self.p, spoilt, x)

    def extra_repr(self) -> str:
        return f"{self.kind}, std={self.std}, p={self.p}"


class Latent(AddsToLoss):
    """(N, F) to a draw from N(mean, exp log_variance), (N, units); the mean in evaluation."""

    def __init__(self, features: int, units: int, beta: float) -> None:
        super().__init__()
        self.mean = nn.Linear(features, units)
        self.log_variance = nn.Linear(features, units)
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        mean: Tensor = self.mean(x)
        if not self.training:
            return mean
        log_variance: Tensor = self.log_variance(x)
        self.extra_loss = self.beta * divergence(mean, log_variance)
        return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """(N,) KL(N(mean, exp log_variance) || N(0, 1)) summed over the axes, Kingma and Welling 2014, appendix B."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def _latent(layer: stochastic.Latent, shape: Shape) -> nn.Module:
    return Latent(shape[-1], layer.units, 1.0 if layer.beta is None else layer.beta)


BUILDERS: dict[str, Builder] = {
    "noise": lambda layer, _shape: Noise(layer.kind, layer.std, layer.p),
    "latent": _latent,
}
