"""What follows the monitored values from epoch to epoch: the best state, patience, and the plateau's drops."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from core.spec.metrics import improves_upwards
from core.spec.schedules import PlateauSchedule, Schedule, lr_factor
from core.spec.training import EarlyStoppingSpec


@dataclass(slots=True)
class Best:
    """The best epoch so far by `monitor`, with a copy of its network; value None: none yet."""

    monitor: str
    upwards: bool
    value: float | None = None
    epoch: int | None = None
    step: int | None = None
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def beaten_by(self, value: float | None) -> bool:
        if value is None or not math.isfinite(value):
            return False
        return self.value is None or (value > self.value if self.upwards else value < self.value)

    def judge_by(self, monitor: str, upwards: bool) -> None:
        """Judges by this from now on; the best so far stays until an epoch has a value of it."""
        if (monitor, upwards) != (self.monitor, self.upwards):
            self.monitor, self.upwards, self.value = monitor, upwards, None

    def numbers(self) -> dict[str, Any]:
        return {"value": self.value, "epoch": self.epoch, "step": self.step}

    def load(self, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.value, self.epoch, self.step = numbers["value"], numbers["epoch"], numbers["step"]
        self.tensors = tensors


@dataclass(slots=True)
class Patience:
    """Early stopping: how long the monitored value has not improved by more than `min_delta`."""

    spec: EarlyStoppingSpec | None
    reference: float | None = None
    waited: int = 0

    @property
    def is_over(self) -> bool:
        return self.spec is not None and self.waited >= self.spec.patience

    def note(self, value: float | None) -> None:
        """Takes in the value of the epoch that has just ended."""
        if self.spec is None:
            return
        sign = 1.0 if watches_upwards(self.spec) else -1.0
        # NaN beats nothing
        gain = math.nan if value is None else sign * (value - (self.reference or 0.0))
        if gain > self.spec.min_delta or (self.reference is None and math.isfinite(gain)):
            self.reference, self.waited = value, 0
        else:
            self.waited += 1

    def numbers(self) -> dict[str, Any]:
        return {"reference": self.reference, "waited": self.waited}

    def load(self, numbers: dict[str, Any]) -> None:
        self.reference, self.waited = numbers["reference"], numbers["waited"]


def watches_upwards(stopping: EarlyStoppingSpec) -> bool:
    """Whether early stopping waits for more rather than less."""
    return improves_upwards(stopping.monitor) if stopping.mode == "auto" else stopping.mode == "max"


@dataclass(slots=True)
class Pace:
    """The learning rate of each step; the plateau's factor is the part of it that the run itself decides."""

    schedule: Schedule
    peak_lr: float
    total_steps: int
    steps_per_epoch: int
    factor: float = 1.0
    reference: float | None = None
    waited: int = 0
    cooldown: int = 0

    def lr(self, step: int) -> float:
        """The rate of the optimizer step with index `step`, 0 the first."""
        shape = lr_factor(
            self.schedule,
            step,
            total_steps=self.total_steps,
            steps_per_epoch=self.steps_per_epoch,
            peak_lr=self.peak_lr,
        )
        if isinstance(self.schedule, PlateauSchedule):
            return max(self.peak_lr * self.factor, min(self.schedule.min_lr, self.peak_lr)) * shape
        return self.peak_lr * shape

    def lrs(self, first: int, count: int) -> list[float]:
        """The rates of `count` steps from index `first` on."""
        if self.schedule.type == "constant" and first >= self.schedule.warmup_steps:
            return [self.peak_lr] * count
        return [self.lr(step) for step in range(first, first + count)]

    def note(self, values: dict[str, float]) -> None:
        """Takes in the epoch's row; torch.optim.lr_scheduler.ReduceLROnPlateau with a relative threshold."""
        if not isinstance(self.schedule, PlateauSchedule):
            return
        value = values.get(self.schedule.monitor, math.nan)
        if self._improves(value, self.schedule):
            self.reference, self.waited = value, 0
        else:
            self.waited += 1
        if self.cooldown > 0:
            self.cooldown -= 1
            self.waited = 0
        if self.waited > self.schedule.patience:
            self.factor *= self.schedule.factor
            self.cooldown = self.schedule.cooldown
            self.waited = 0

    def _improves(self, value: float, plateau: PlateauSchedule) -> bool:
        if not math.isfinite(value):
            return False
        if self.reference is None:
            return True
        if improves_upwards(plateau.monitor):
            return value > self.reference * (1 + plateau.threshold)
        return value < self.reference * (1 - plateau.threshold)

    def numbers(self) -> dict[str, Any]:
        return {
            "factor": self.factor,
            "reference": self.reference,
            "waited": self.waited,
            "cooldown": self.cooldown,
        }

    def load(self, numbers: dict[str, Any]) -> None:
        self.factor, self.reference = numbers["factor"], numbers["reference"]
        self.waited, self.cooldown = numbers["waited"], numbers["cooldown"]
