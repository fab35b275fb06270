"""Optimizers on surfaces: gradients against finite differences, paths against recurrences written out in NumPy."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.engine.lab import experiment
from core.spec.surfaces import SURFACES, Surface

Vector = NDArray[np.float64]
STEPS = 60


def race(*optimizers: Any, **fields: Any) -> dict[str, Any]:
    return experiment("optimizers", {"optimizers": list(optimizers), "steps": STEPS, **fields}, None)


@pytest.mark.parametrize("name", SURFACES)
def test_gradients_are_those_of_the_surface(name: str) -> None:
    surface = SURFACES[name]
    random = np.random.default_rng(1)
    h = 1e-6
    for x, y in random.uniform(-3, 3, (200, 2)).tolist():
        by_differences = (
            (surface.value(x + h, y) - surface.value(x - h, y)) / (2 * h),
            (surface.value(x, y + h) - surface.value(x, y - h)) / (2 * h),
        )
        scale = max(1.0, abs(surface.value(x, y)))
        np.testing.assert_allclose(surface.gradient(x, y), by_differences, rtol=1e-6, atol=1e-8 * scale / h * 1e-2)


@pytest.mark.parametrize("name", SURFACES)
def test_minima_are_minima_and_stand_in_the_picture(name: str) -> None:
    surface = SURFACES[name]
    for x, y in surface.minima:
        assert surface.value(x, y) == pytest.approx(surface.minimum, abs=1e-9)
        np.testing.assert_allclose(surface.gradient(x, y), 0, atol=1e-6)
        around = [surface.value(x + dx, y + dy) for dx in (-0.01, 0, 0.01) for dy in (-0.01, 0, 0.01)]
        assert min(around) >= surface.minimum - 1e-9
    for x, y in (*surface.minima, surface.start):
        assert surface.x[0] <= x <= surface.x[1]
        assert surface.y[0] <= y <= surface.y[1]
    random = np.random.default_rng(2)
    anywhere = [surface.value(x, y) for x, y in random.uniform(-6, 6, (2000, 2)).tolist()]
    assert min(anywhere) >= surface.minimum


def descend(surface: Surface, start: Vector, rule: Callable[[Vector, Vector, int], Vector]) -> Vector:
    """The path of a rule `w, g, k -> w`."""
    path = [start]
    for k in range(1, STEPS + 1):
        w = path[-1]
        path.append(rule(w, np.array(surface.gradient(float(w[0]), float(w[1]))), k))
    return np.array(path)


def sgd(lr: float) -> Callable[[Vector, Vector, int], Vector]:
    return lambda w, g, k: w - lr * g


def momentum(lr: float, mu: float, *, nesterov: bool) -> Callable[[Vector, Vector, int], Vector]:
    v = np.zeros(2)

    def rule(w: Vector, g: Vector, k: int) -> Vector:
        nonlocal v
        v = mu * v + g
        return w - lr * (g + mu * v if nesterov else v)

    return rule


def rmsprop(lr: float, alpha: float, eps: float) -> Callable[[Vector, Vector, int], Vector]:
    s = np.zeros(2)

    def rule(w: Vector, g: Vector, k: int) -> Vector:
        nonlocal s
        s = alpha * s + (1 - alpha) * g * g
        return w - lr * g / (np.sqrt(s) + eps)

    return rule


def adam(lr: float, b1: float, b2: float, eps: float) -> Callable[[Vector, Vector, int], Vector]:
    m, v = np.zeros(2), np.zeros(2)

    def rule(w: Vector, g: Vector, k: int) -> Vector:
        nonlocal m, v
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        return w - lr * (m / (1 - b1**k)) / (np.sqrt(v / (1 - b2**k)) + eps)

    return rule


@pytest.mark.parametrize("name", ["rosenbrock", "ravine", "saddle", "himmelblau"])
def test_paths_are_those_of_the_formulas(name: str) -> None:
    surface = SURFACES[name]
    start = np.array(surface.start)
    lr = 5e-4
    found = race(
        {"type": "sgd", "lr": lr},
        {"type": "sgd", "lr": lr, "momentum": 0.9},
        {"type": "sgd", "lr": lr, "momentum": 0.9, "nesterov": True},
        {"type": "rmsprop", "lr": 0.02, "alpha": 0.9},
        {"type": "adam", "lr": 0.05},
        surface=name,
    )
    rules = [
        sgd(lr),
        momentum(lr, 0.9, nesterov=False),
        momentum(lr, 0.9, nesterov=True),
        rmsprop(0.02, 0.9, 1e-8),
        adam(0.05, 0.9, 0.999, 1e-8),
    ]
    for run, rule in zip(found["optimizers"], rules, strict=True):
        expected = descend(surface, start, rule)
        np.testing.assert_allclose(run["path"], expected, rtol=1e-9, atol=1e-12, err_msg=run["name"])
        np.testing.assert_allclose(run["loss"], [surface.value(x, y) for x, y in expected.tolist()], rtol=1e-9)
        nearest = min(math.dist(expected[-1], minimum) for minimum in surface.minima)
        assert run["distance"] == pytest.approx(nearest)
        assert run["final_loss"] == run["loss"][-1]
        assert not run["diverged"]


def test_a_schedule_is_followed() -> None:
    (run,) = race({"type": "sgd", "lr": 0.1, "schedule": {"type": "step", "step_size": 5, "gamma": 0.5}})["optimizers"]
    surface, w = SURFACES["rosenbrock"], np.array(SURFACES["rosenbrock"].start)
    assert run["diverged"], "0.1 is too much for Rosenbrock"
    (run,) = race(
        {"type": "sgd", "lr": 1e-3, "schedule": {"type": "step", "step_size": 5, "gamma": 0.5}}, surface="rosenbrock"
    )["optimizers"]
    for step, point in enumerate(run["path"][1:]):
        w = w - 1e-3 * 0.5 ** (step // 5) * np.array(surface.gradient(float(w[0]), float(w[1])))
        np.testing.assert_allclose(point, w, rtol=1e-12)


def test_what_diverges_is_told_by_name_and_stays_json() -> None:
    found = race({"type": "sgd", "lr": 1.0, "name": "too bold"}, "adam", surface="ravine")
    bold, adam_run = found["optimizers"]
    assert found["non_finite"] == ["too bold"]
    assert bold["diverged"]
    assert bold["diverged_at"] == len(bold["path"]) < STEPS
    assert len(adam_run["path"]) == STEPS + 1
    json.dumps(found, allow_nan=False)


def test_sgd_on_a_quadratic_diverges_beyond_two_over_the_curvature() -> None:
    """lr < 2/L is the whole story of a quadratic: L = 100 in the ravine."""
    below, above = race({"type": "sgd", "lr": 0.0199}, {"type": "sgd", "lr": 0.0201}, surface="ravine", steps=500)[
        "optimizers"
    ]
    assert abs(below["path"][-1][1]) < abs(below["path"][0][1])
    assert abs(above["path"][-1][1]) > abs(above["path"][0][1])


def test_noise_is_the_same_for_all_and_follows_the_seed() -> None:
    same = {"type": "sgd", "lr": 0.01}
    first = race(same, same, surface="quadratic", noise=1.0)["optimizers"]
    assert first[0]["path"] == first[1]["path"]
    assert [run["name"] for run in first] == ["sgd lr 0.01", "sgd lr 0.01 #2"]
    assert race(same, surface="quadratic", noise=1.0)["optimizers"][0]["path"] == first[0]["path"]
    assert race(same, surface="quadratic", noise=1.0, seed=1)["optimizers"][0]["path"] != first[0]["path"]
    assert race(same, surface="quadratic")["optimizers"][0]["path"] != first[0]["path"]


def test_the_grid_holds_a_start_far_out_and_the_values_of_the_surface() -> None:
    found = race("adam", surface="quadratic", start=[20, -1])
    grid = found["surface"]["grid"]
    assert min(grid["x"]) < 20 < max(grid["x"])
    x, y, value = grid["x"][7], grid["y"][30], grid["loss"][30][7]
    assert value == pytest.approx((x * x + 4 * y * y) / 2, rel=1e-3)


@pytest.mark.parametrize(
    "optimizer", ["sgd", "rmsprop", "adam", "adamw", "nadam", "radam", "adagrad", "adadelta", "adamax", "lbfgs"]
)
def test_every_optimizer_of_the_language_goes_down(optimizer: str) -> None:
    (run,) = race({"type": optimizer}, surface="quadratic")["optimizers"]
    assert run["final_loss"] < run["loss"][0]
