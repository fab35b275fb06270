"""At which steps a run is looked at."""

from __future__ import annotations

from itertools import pairwise

from core.spec.layers import LAYERS
from core.spec.sampling import Cost, Sampling, monitor_sampling, probe_sampling
from core.spec.training import MonitorSpec
from tests.core.spec.sets import faults, job


def steps(sampling: Sampling, last: int) -> list[int]:
    found, step = [], 1
    while (step := sampling.next_from(step)) <= last:
        found.append(step)
        step += 1
    return found


def test_the_first_step_and_then_every_so_many() -> None:
    assert steps(Sampling(10, spreads=False), 45) == [1, 10, 20, 30, 40]
    assert steps(Sampling(1, spreads=False), 4) == [1, 2, 3, 4]


def test_spread_looks_are_dense_at_first_and_rarer_in_a_long_run() -> None:
    found = steps(Sampling(100), 1_000_000)
    assert found[:7] == [1, 4, 16, 64, 100, 200, 300]
    assert len(found) < 250
    gaps = [after - before for before, after in pairwise(found) if before >= 100]
    assert gaps == sorted(gaps)
    # a longer run is looked at at the same steps
    assert steps(Sampling(100), 5_000) == [step for step in found if step <= 5_000]


def test_where_one_begins_does_not_matter() -> None:
    sampling = Sampling(7)
    every = steps(sampling, 2_500)
    for start in range(1, 2_000, 13):
        assert sampling.next_from(start) == next(step for step in every if step >= start)


def test_a_history_that_outgrows_everything_is_refused() -> None:
    body = job("digits", monitor={"layers": True, "layers_every_steps": 1}, training={"epochs": 50_000})
    assert faults(body) == {"/monitor/layers_every_steps": "too_many_values"}
    assert faults(job("digits", monitor={"layers": True}, training={"epochs": 50_000})) == {}


def test_what_is_asked_for_goes_before_what_is_cheap() -> None:
    linear = LAYERS["linear"].model_validate({"type": "linear", "units": 64})
    small, large = Cost.of([linear] * 3, (64,), 32), Cost.of([linear] * 3, (64,), 4096)
    assert monitor_sampling(MonitorSpec(), small) is None
    assert monitor_sampling(MonitorSpec(layers=True, every_steps=5), small) == Sampling(5, spreads=False)
    asked = MonitorSpec(layers=True, every_steps=5, layers_every_steps=3)
    assert monitor_sampling(asked, small) == Sampling(3, spreads=False)
    usual, rare = monitor_sampling(MonitorSpec(layers=True), large), monitor_sampling(MonitorSpec(layers=True), small)
    assert usual is not None
    assert rare is not None
    # the dearer a step, the more often looking is cheap beside it
    assert usual.interval < rare.interval
    assert probe_sampling(large).interval < probe_sampling(small).interval
