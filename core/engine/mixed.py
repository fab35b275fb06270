"""Mixed precision: weights, losses and updates in float32, the forward pass in 16 bits where PyTorch finds it right.

Which operations run in 16 bits is `torch.autocast`'s own table (matrix products and convolutions do, sums and
exponentials do not). float16 has few exponents, so its loss is scaled (Micikevicius et al. 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.engine.optimizers import Evaluate, FirstOrder, Optimizer
from core.spec.training import TrainingSpec

# torch.amp.GradScaler's own numbers
_FIRST_FACTOR, _GROWTH, _BACKOFF, _STEADY_STEPS = 2.0**16, 2.0, 0.5, 2000


class LossScale:
    """The factor of the loss: doubled after 2,000 steps whose gradients were numbers, halved where one overflows."""

    def __init__(self, device: torch.device) -> None:
        self.factor = torch.full((), _FIRST_FACTOR, device=device)
        self._steady = torch.zeros((), dtype=torch.int32, device=device)
        self._found = torch.zeros((), device=device)
        self.overflowed = False
        """Whether the gradients of the last step are no numbers, and must not move the weights."""

    def unscale(self, gradients: Tensor) -> None:
        """Divides the gradients (P,) of the scaled loss by its factor, and chooses the next step's."""
        # GradScaler's own kernels, which want no optimizer of PyTorch's
        self._found.zero_()
        inverse = self.factor.double().reciprocal().float()
        torch._amp_foreach_non_finite_check_and_unscale_([gradients], self._found, inverse)
        torch._amp_update_scale_(self.factor, self._steady, self._found, _GROWTH, _BACKOFF, _STEADY_STEPS)
        self.overflowed = bool(self._found)

    def tensors(self) -> dict[str, Tensor]:
        return {"scale_factor": self.factor, "scale_steady": self._steady}

    def load(self, tensors: dict[str, Tensor]) -> None:
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])


@dataclass(frozen=True, slots=True)
class Mixed:
    """How a run computes in 16 bits; `scale` with float16 alone, for bfloat16 has float32's exponents."""

    device_type: str
    dtype: torch.dtype
    scale: LossScale | None

    def forward(self, network: nn.Module, x: Tensor) -> Tensor:
        """The outputs (N, ...) in float32, in which the loss is computed."""
        with torch.autocast(self.device_type, dtype=self.dtype):
            outputs: Tensor = network(x)
        return outputs.float()


def mixed_precision(training: TrainingSpec, device: torch.device) -> Mixed | None:
    """What a run's precision asks for; None where one type does for everything."""
    if training.precision == "bfloat16":
        return Mixed(device.type, torch.bfloat16, None)
    if training.precision == "float16":
        return Mixed(device.type, torch.float16, LossScale(device))
    return None


class SkipsOverflow:
    """An optimizer that leaves out the steps whose gradients overflowed, as if they had never been."""

    reads_objective = False

    def __init__(self, inner: FirstOrder, scale: LossScale) -> None:
        self._inner, self._scale = inner, scale
        self._skipped = 0

    def step(self, evaluate: Evaluate, lr: float, k: int) -> Tensor:
        self._inner.begin()
        _, outputs = evaluate()
        if self._scale.overflowed:
            self._inner.give_up()
            self._skipped += 1
        else:
            self._inner.update(lr, k - self._skipped)
        return outputs

    def tensors(self) -> dict[str, Tensor]:
        return self._inner.tensors() | self._scale.tensors()

    def numbers(self) -> dict[str, Any]:
        return self._inner.numbers() | {"skipped": self._skipped}

    def load(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        self._inner.load(tensors, numbers)
        self._scale.load(tensors)
        self._skipped = numbers["skipped"]


def with_scale(optimizer: Optimizer, mixed: Mixed | None) -> Optimizer:
    """The optimizer of a run with this precision."""
    if mixed is None or mixed.scale is None:
        return optimizer
    assert isinstance(optimizer, FirstOrder), "the plan refuses lbfgs in 16 bits"
    return SkipsOverflow(optimizer, mixed.scale)
