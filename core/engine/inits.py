"""First values of weights; the formulas stand in `core.spec.inits`, with n from `mode`."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from core.spec import inits


def fan(weight: Tensor, mode: str) -> float:
    """The n of the formula for a weight of shape (out, in, ...): inputs, outputs, or their mean."""
    receptive = math.prod(weight.shape[2:])
    n_in, n_out = weight.shape[1] * receptive, weight.shape[0] * receptive
    return {"fan_in": n_in, "fan_out": n_out, "fan_avg": (n_in + n_out) / 2}[mode]


def fill_weight(weight: Tensor, init: inits.Init, source: Generator) -> None:
    """Overwrites `weight` with the first values that `init` asks for, drawn from `source`."""
    match init:
        case inits.Torch():
            bound = 1 / math.sqrt(fan(weight, "fan_in"))
            weight.uniform_(-bound, bound, generator=source)
        case inits.Xavier() | inits.Lecun():
            _scaled(weight, init.gain**2 / fan(weight, init.mode), init.distribution, source)
        case inits.He():
            _scaled(weight, 2 * init.gain**2 / fan(weight, init.mode), init.distribution, source)
        case inits.Normal():
            weight.normal_(init.mean, init.std, generator=source)
        case inits.Uniform():
            weight.uniform_(init.low, init.high, generator=source)
        case inits.Orthogonal():
            _orthogonal(weight, init.gain, source)
        case inits.Zeros():
            weight.zero_()
        case inits.Constant():
            weight.fill_(init.value)


def fill_bias(bias: Tensor, weight: Tensor, init: inits.Init, source: Generator) -> None:
    """Overwrites `bias`; the n of a formula is that of the layer's weight, for a bias has none."""
    match init:
        case inits.Xavier() | inits.Lecun():
            _scaled(bias, init.gain**2 / fan(weight, init.mode), init.distribution, source)
        case inits.He():
            _scaled(bias, 2 * init.gain**2 / fan(weight, init.mode), init.distribution, source)
        case inits.Torch():
            bound = 1 / math.sqrt(fan(weight, "fan_in"))
            bias.uniform_(-bound, bound, generator=source)
        case inits.Orthogonal():
            bias.zero_()
        case _:
            fill_weight(bias, init, source)


def _scaled(tensor: Tensor, variance: float, distribution: str, source: Generator) -> None:
    if distribution == "normal":
        tensor.normal_(0.0, math.sqrt(variance), generator=source)
    else:
        bound = math.sqrt(3 * variance)
        tensor.uniform_(-bound, bound, generator=source)


def _orthogonal(weight: Tensor, gain: float, source: Generator) -> None:
    """Q of a Gaussian matrix, signs fixed so that it is uniform over all of them (Saxe et al. 2014)."""
    rows, columns = weight.shape[0], weight[0].numel()
    gaussian = torch.empty(max(rows, columns), min(rows, columns), dtype=torch.float64).normal_(generator=source)
    q, r = torch.linalg.qr(gaussian)
    q *= torch.diagonal(r).sign()
    weight.copy_((q if rows >= columns else q.T).reshape(weight.shape) * gain)
