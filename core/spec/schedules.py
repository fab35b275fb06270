"""How the learning rate changes over a run: a closed union by `type`, and its arithmetic.

Every schedule peaks at `optimizer.lr` and spans the whole run, warm-up included. The plan's preview
and the engine both call `lr_factor`, so that what is shown is what is done.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from core.spec.base import Count, Int, MetricName, NonNegative, Positive, SpecModel

Gamma = Annotated[float, Field(strict=True, gt=0, le=1)]
_MIN_LR = "where the learning rate ends, from 0, at most optimizer.lr; default 0"


class ScheduleBase(SpecModel):
    """What every schedule takes."""

    warmup_steps: Annotated[Int, Field(ge=0)] = Field(
        0, description="steps over which the rate rises linearly to the schedule, from 0 (none); default 0"
    )


class ConstantSchedule(ScheduleBase):
    """The same rate throughout."""

    type: Literal["constant"] = "constant"


class StepSchedule(ScheduleBase):
    """Times gamma after every `step_size` epochs."""

    type: Literal["step"] = "step"
    step_size: Count = Field(10, description="epochs between two drops, from 1; default 10")
    gamma: Gamma = Field(0.1, description="factor of each drop, above 0 up to 1; default 0.1")


class MultiStepSchedule(ScheduleBase):
    """Times gamma at each of the named epochs."""

    type: Literal["multi_step"] = "multi_step"
    milestones: Annotated[tuple[Count, ...], Field(min_length=1, max_length=100)] = Field(
        description="epochs after which the rate drops, each from 1"
    )
    gamma: Gamma = Field(0.1, description="factor of each drop, above 0 up to 1; default 0.1")


class ExponentialSchedule(ScheduleBase):
    """Times gamma each epoch, smoothly step by step."""

    type: Literal["exponential"] = "exponential"
    gamma: Gamma = Field(0.95, description="factor of one epoch, above 0 up to 1; default 0.95")


class CosineSchedule(ScheduleBase):
    """Half a cosine down to min_lr, Loshchilov and Hutter 2017; restarts when cycles is above 1."""

    type: Literal["cosine"] = "cosine"
    min_lr: NonNegative = Field(0.0, description=_MIN_LR)
    cycles: Count = Field(1, description="descents in the run, each from the peak, from 1; default 1")


class LinearSchedule(ScheduleBase):
    """A straight line down to min_lr."""

    type: Literal["linear"] = "linear"
    min_lr: NonNegative = Field(0.0, description=_MIN_LR)


class PolynomialSchedule(ScheduleBase):
    """(1 - t)^power down to min_lr, t from 0 to 1 over the run."""

    type: Literal["polynomial"] = "polynomial"
    power: Positive = Field(2.0, description="exponent, above 0; 1 is linear; default 2")
    min_lr: NonNegative = Field(0.0, description=_MIN_LR)


class OneCycleSchedule(ScheduleBase):
    """Up from lr/div_factor to lr, then down to lr/(div_factor*final_div_factor), both half cosines, Smith 2018."""

    type: Literal["one_cycle"] = "one_cycle"
    pct_start: Annotated[float, Field(strict=True, gt=0, lt=1)] = Field(
        0.3, description="share of the run that rises, between 0 and 1; default 0.3"
    )
    div_factor: Annotated[float, Field(strict=True, ge=1)] = Field(
        25.0, description="peak over first rate, from 1; default 25"
    )
    final_div_factor: Annotated[float, Field(strict=True, ge=1)] = Field(
        10_000.0, description="first rate over last rate, from 1; default 10000"
    )


class PlateauSchedule(ScheduleBase):
    """Times factor when the monitored value has not improved for `patience` epochs."""

    type: Literal["plateau"] = "plateau"
    monitor: MetricName = Field(
        "validation.loss", description="metric watched, as <split>.<metric>; default validation.loss"
    )
    factor: Annotated[float, Field(strict=True, gt=0, lt=1)] = Field(
        0.1, description="factor of each drop, between 0 and 1; default 0.1"
    )
    patience: Annotated[Int, Field(ge=0)] = Field(5, description="epochs without improvement before a drop; default 5")
    threshold: NonNegative = Field(1e-4, description="least change that counts, as a share of the best; default 1e-4")
    cooldown: Annotated[Int, Field(ge=0)] = Field(0, description="epochs after a drop in which none counts; default 0")
    min_lr: NonNegative = Field(0.0, description=_MIN_LR)


Schedule = Annotated[
    ConstantSchedule
    | StepSchedule
    | MultiStepSchedule
    | ExponentialSchedule
    | CosineSchedule
    | LinearSchedule
    | PolynomialSchedule
    | OneCycleSchedule
    | PlateauSchedule,
    Field(discriminator="type"),
]

DEPENDS_ON_TOTAL = frozenset({"cosine", "linear", "polynomial", "one_cycle"})
"""Schedules whose shape changes when epochs are added: a continued run then differs from a longer one."""


def lr_factor(schedule: Schedule, step: int, *, total_steps: int, steps_per_epoch: int, peak_lr: float) -> float:
    """The factor on `optimizer.lr` for the optimizer step with index `step` (0 is the first).

    Warm-up rises by equal steps to where the schedule proper begins, which spans the steps that are left. Drops of
    step, multi_step and exponential count epochs of the whole run. A plateau's drops are state of the run, not of the
    step: they are not in here, and its factor is its warm-up.
    """
    warmup = min(schedule.warmup_steps, total_steps - 1)
    span = total_steps - warmup
    after = max(step - warmup, 0)
    ramp = min((step + 1) / (warmup + 1), 1.0)
    if isinstance(schedule, StepSchedule | MultiStepSchedule | ExponentialSchedule):
        return ramp * _by_epoch(schedule, max(step, warmup) / steps_per_epoch)
    return ramp * _by_time(schedule, after, span, peak_lr)


def _by_epoch(schedule: StepSchedule | MultiStepSchedule | ExponentialSchedule, epochs: float) -> float:
    """The factor after so many epochs of the run, warm-up apart."""
    match schedule:
        case StepSchedule():
            drops: float = int(epochs) // schedule.step_size
        case MultiStepSchedule():
            drops = sum(epochs >= milestone for milestone in schedule.milestones)
        case ExponentialSchedule():
            drops = epochs
    return float(schedule.gamma**drops)


def _by_time(schedule: Schedule, step: int, span: int, peak_lr: float) -> float:
    """The factor at a step of the `span` steps after the warm-up; t runs from 0 at the first to 1 at the last."""
    t = min(step / max(span - 1, 1), 1.0)
    floor = min(getattr(schedule, "min_lr", 0.0) / peak_lr, 1.0)
    match schedule:
        case CosineSchedule():
            within = t if schedule.cycles == 1 else (step * schedule.cycles / span) % 1.0
            return floor + (1 - floor) * _half_cosine(within)
        case LinearSchedule():
            return floor + (1 - floor) * (1 - t)
        case PolynomialSchedule():
            return float(floor + (1 - floor) * (1 - t) ** schedule.power)
        case OneCycleSchedule():
            return _one_cycle(schedule, t)
    return 1.0


def _half_cosine(t: float) -> float:
    """From 1 at t = 0 to 0 at t = 1."""
    return (1 + math.cos(math.pi * t)) / 2


def _one_cycle(schedule: OneCycleSchedule, t: float) -> float:
    first = 1 / schedule.div_factor
    last = first / schedule.final_div_factor
    if t < schedule.pct_start:
        return 1 + (first - 1) * _half_cosine(t / schedule.pct_start)
    return last + (1 - last) * _half_cosine((t - schedule.pct_start) / (1 - schedule.pct_start))
