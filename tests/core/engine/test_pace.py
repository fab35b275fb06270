"""Schedules against PyTorch's schedulers; plateau, patience and best against their rules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from core.engine.pace import Best, Pace, Patience
from core.spec import schedules
from core.spec.training import EarlyStoppingSpec

STEPS_PER_EPOCH, EPOCHS, LR = 7, 12, 0.4
TOTAL = STEPS_PER_EPOCH * EPOCHS


def pace(schedule: Any) -> Pace:
    return Pace(schedule, LR, TOTAL, STEPS_PER_EPOCH)


def theirs(make: Any, every: int = 1) -> list[float]:
    """PyTorch's rate at each step; the scheduler moves once in `every` steps."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    scheduler = make(optimizer)
    rates = []
    for step in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0:
            scheduler.step()
    return rates


CASES = [
    (schedules.ConstantSchedule(), lambda o: lr_scheduler.ConstantLR(o, factor=1.0), 1),
    (schedules.StepSchedule(step_size=3, gamma=0.5), lambda o: lr_scheduler.StepLR(o, 3, 0.5), STEPS_PER_EPOCH),
    (
        schedules.MultiStepSchedule(milestones=(2, 5), gamma=0.3),
        lambda o: lr_scheduler.MultiStepLR(o, [2, 5], 0.3),
        STEPS_PER_EPOCH,
    ),
    (
        schedules.ExponentialSchedule(gamma=0.8),
        lambda o: lr_scheduler.ExponentialLR(o, 0.8 ** (1 / STEPS_PER_EPOCH)),
        1,
    ),
    (
        schedules.CosineSchedule(min_lr=0.01),
        lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL - 1, eta_min=0.01),
        1,
    ),
    (
        schedules.LinearSchedule(min_lr=0.04),
        lambda o: lr_scheduler.LinearLR(o, 1.0, 0.1, total_iters=TOTAL - 1),
        1,
    ),
    (
        schedules.PolynomialSchedule(power=2.0),
        lambda o: lr_scheduler.PolynomialLR(o, total_iters=TOTAL - 1, power=2.0),
        1,
    ),
]


@pytest.mark.parametrize(("schedule", "make", "every"), CASES, ids=lambda value: getattr(value, "type", ""))
def test_it_is_pytorchs_schedule(schedule: Any, make: Any, every: int) -> None:
    np.testing.assert_allclose(pace(schedule).lrs(0, TOTAL), theirs(make, every), rtol=1e-9, atol=1e-12)


def test_one_cycle_rises_from_and_falls_to_pytorchs_rates() -> None:
    ours = pace(schedules.OneCycleSchedule(pct_start=0.3)).lrs(0, TOTAL)
    reference = theirs(lambda o: lr_scheduler.OneCycleLR(o, LR, total_steps=TOTAL + 1, pct_start=0.3))
    assert ours[0] == pytest.approx(LR / 25)
    assert ours[-1] == pytest.approx(LR / 25 / 1e4)
    assert max(ours) == pytest.approx(LR, rel=5e-3)
    # its peak lies on a step, theirs between two
    np.testing.assert_allclose(ours, reference, atol=0.04 * LR)


def test_warm_up_is_a_ramp_to_the_peak() -> None:
    rates = pace(schedules.ConstantSchedule(warmup_steps=4)).lrs(0, 8)
    assert rates[:4] == pytest.approx([LR * k / 5 for k in range(1, 5)])
    assert rates[4:] == [LR] * 4


@pytest.mark.parametrize(("patience", "cooldown", "min_lr"), [(1, 0, 0.0), (2, 2, 0.01), (0, 1, 0.0)])
def test_the_plateau_is_pytorchs(patience: int, cooldown: int, min_lr: float, random: np.random.Generator) -> None:
    schedule = schedules.PlateauSchedule(factor=0.5, patience=patience, cooldown=cooldown, min_lr=min_lr)
    ours = pace(schedule)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    reference = lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience, cooldown=cooldown, min_lr=min_lr, eps=0.0
    )
    for value in 1 / np.arange(1, 40) + random.random(39) * 0.2:
        ours.note({"validation.loss": value})
        reference.step(value)
        assert ours.lr(0) == pytest.approx(optimizer.param_groups[0]["lr"])
    twin = pace(schedule)
    twin.load(ours.numbers())
    assert twin == ours


def test_patience_counts_epochs_without_improvement() -> None:
    patience = Patience(EarlyStoppingSpec(patience=2, min_delta=0.1))
    for value, over in ((1.0, False), (0.95, False), (0.8, False), (math.nan, False), (0.75, True)):
        patience.note(value)
        assert patience.is_over is over
    rising = Patience(EarlyStoppingSpec(monitor="validation.accuracy", patience=1))
    rising.note(0.5)
    rising.note(0.6)
    assert not rising.is_over
    rising.note(0.6)
    assert rising.is_over
    assert not Patience(None).is_over


def test_best_is_beaten_by_less_or_by_more_and_never_by_nan() -> None:
    low, high = Best("validation.loss", upwards=False), Best("validation.auc", upwards=True)
    for best, worse, better in ((low, 2.0, 0.5), (high, 0.5, 2.0)):
        assert not best.beaten_by(math.nan)
        assert not best.beaten_by(None)
        assert best.beaten_by(1.0)
        best.value = 1.0
        assert not best.beaten_by(1.0)
        assert not best.beaten_by(worse)
        assert best.beaten_by(better)
