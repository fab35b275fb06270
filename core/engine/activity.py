"""How many values of an activation are at its ends, and how many of its units give nothing, by kind of activation.

A value is saturated where the derivative is under a tenth of its greatest. With s the output:
sigmoid' = s(1 - s) <= 1/4, so s < 0.0257 or s > 0.9743; tanh' = 1 - s^2, so |s| > 0.9487; softsign' = (1 - |s|)^2, so
|s| > 0.6838; hard_tanh' is 1 or 0, so s is one of its two limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

_SIGMOID_FROM_HALF = 0.5 * math.sqrt(0.9)
_TANH = math.sqrt(0.9)
_SOFTSIGN = 1 - math.sqrt(0.1)

SATURATED: dict[type[nn.Module], Callable[[Any, Tensor], Tensor]] = {
    nn.Sigmoid: lambda _module, s: (s - 0.5).abs() > _SIGMOID_FROM_HALF,
    nn.Tanh: lambda _module, s: s.abs() > _TANH,
    nn.Softsign: lambda _module, s: s.abs() > _SOFTSIGN,
    nn.Hardtanh: lambda module, s: (s <= module.min_val) | (s >= module.max_val),
}
"""By type of module: (module, output) -> where it is saturated."""

CAN_DIE = (nn.ReLU, nn.ReLU6)
"""Types that give exactly zero, and pass no gradient, below zero."""


def saturated_fraction(module: nn.Module, output: Tensor) -> Tensor:
    """() the fraction of all values that are saturated."""
    return SATURATED[type(module)](module, output).to(output.dtype).mean()


def silent(output: Tensor) -> list[Tensor]:
    """Which units are zero for every sample (N, ...) and at every place of it, as one mask or two.

    Units are the columns of (N, F) and the channels of (N, C, H, W). Of three axes it cannot be seen which one counts
    time: there is a mask for either.
    """
    if output.ndim == 3:
        return [output.amax((0, 1)) <= 0, output.amax((0, 2)) <= 0]
    return [output.amax((0, *range(2, output.ndim))) <= 0]


def dead_fraction(masks: Sequence[Tensor]) -> Tensor:
    """() the fraction of units that are silent; of two masks the greater, as places are hardly ever silent together."""
    fractions = [mask.double().mean() for mask in masks]
    return fractions[0] if len(fractions) == 1 else torch.maximum(*fractions)
