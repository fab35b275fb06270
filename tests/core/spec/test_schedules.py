"""Learning rates against PyTorch's schedulers and the formulas."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torch.optim import lr_scheduler

from core.spec.schedules import DEPENDS_ON_TOTAL, Schedule, lr_factor
from tests.core.spec.strategies import values_of

_ADAPTER: TypeAdapter[Any] = TypeAdapter(Schedule)


def rates(schedule: dict[str, Any], total: int, per_epoch: int = 10, peak: float = 1.0) -> list[float]:
    parsed = _ADAPTER.validate_python(schedule)
    return [
        peak * lr_factor(parsed, step, total_steps=total, steps_per_epoch=per_epoch, peak_lr=peak)
        for step in range(total)
    ]


def torch_rates(make: Any, total: int, every: int = 1, peak: float = 1.0) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    scheduler = make(optimizer)
    found = []
    for step in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0:
            scheduler.step()
    return found


@pytest.mark.parametrize(
    ("schedule", "make", "every"),
    [
        ({"type": "step", "step_size": 2, "gamma": 0.5}, lambda o: lr_scheduler.StepLR(o, 2, 0.5), 10),
        ({"type": "multi_step", "milestones": [3, 5]}, lambda o: lr_scheduler.MultiStepLR(o, [3, 5], 0.1), 10),
        ({"type": "exponential", "gamma": 0.9}, lambda o: lr_scheduler.ExponentialLR(o, 0.9 ** (1 / 10)), 1),
        ({"type": "cosine", "min_lr": 0.1}, lambda o: lr_scheduler.CosineAnnealingLR(o, 99, 0.1), 1),
        ({"type": "linear"}, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, 99), 1),
        ({"type": "polynomial", "power": 3.0}, lambda o: lr_scheduler.PolynomialLR(o, 99, 3.0), 1),
        ({"type": "constant"}, lambda o: lr_scheduler.ConstantLR(o, 1.0), 1),
    ],
)
def test_rates_are_those_of_torch(schedule: dict[str, Any], make: Any, every: int) -> None:
    assert rates(schedule, 100) == pytest.approx(torch_rates(make, 100, every), abs=1e-9)


def test_one_cycle_is_that_of_torch() -> None:
    """torch puts the peak on step pct_start*total - 1, we on the share pct_start of the way: half a step between."""
    ours = rates({"type": "one_cycle"}, 1000, peak=0.4)
    theirs = torch_rates(lambda o: lr_scheduler.OneCycleLR(o, 0.4, total_steps=1000), 1000, peak=0.4)
    assert ours == pytest.approx(theirs, abs=0.4 * 0.006)
    assert (ours[0], ours[-1]) == pytest.approx((0.4 / 25, 0.4 / 25 / 1e4))


def test_warm_up_rises_by_equal_steps_to_the_peak() -> None:
    found = rates({"type": "cosine", "warmup_steps": 4}, 24, peak=2.0)
    assert found[:5] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    assert found[4:] == pytest.approx(rates({"type": "cosine"}, 20, peak=2.0))
    assert rates({"type": "plateau", "warmup_steps": 1}, 4) == pytest.approx([0.5, 1, 1, 1])


def test_cosine_restarts_at_the_peak() -> None:
    found = rates({"type": "cosine", "cycles": 4}, 80)
    assert [found[start] for start in (0, 20, 40, 60)] == [1.0] * 4
    assert found[:20] == pytest.approx(found[60:])
    assert found[10] == pytest.approx((1 + math.cos(math.pi / 2)) / 2)


@settings(max_examples=200, deadline=None)
@given(values_of(Schedule), st.integers(1, 50), st.integers(1, 20))
def test_every_rate_lies_between_nothing_and_the_peak(schedule: dict[str, Any], epochs: int, per_epoch: int) -> None:
    total = epochs * per_epoch
    found = rates(schedule, total, per_epoch, peak=0.1)
    assert all(0 <= rate <= 0.1 * (1 + 1e-12) for rate in found)
    warmup = schedule.get("warmup_steps", 0)
    if schedule["type"] in DEPENDS_ON_TOTAL - {"one_cycle"} and warmup < total:
        assert max(found) == pytest.approx(0.1)
