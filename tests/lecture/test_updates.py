"""Whole runs of the service's engine against a training loop in float64 NumPy that is written from the formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from core.events import Checkpoint, Event
from core.spec.job import JobSpec
from core.spec.schedules import lr_factor
from tests.core.engine.workbench import Bench, last
from tests.lecture import reference
from tests.lecture.reference import Floats, Net, Rule

HIDDEN = 5
EPOCHS = 6


def body(optimizer: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A small network on two moons, nothing scaled or shuffled: NumPy sees the same numbers in the same order."""
    training = {"epochs": EPOCHS, "batch_size": 8, "shuffle": False, "precision": "float64"}
    return {
        "data": {
            "dataset": "moons",
            "parameters": {"rows": 50},
            "preprocess": {"scale": "none"},
            "split": {"validation": 0, "test": 0},
        },
        "network": {"layers": [{"type": "linear", "units": HIDDEN}, {"type": "tanh"}], "init": {"type": "xavier"}},
        "optimizer": optimizer,
        **changes,
        "training": training | changes.get("training", {}),
    }


def weights(events: list[Event]) -> Floats:
    """The weights of the last checkpoint as one vector."""
    tensors = load_file(last(events, Checkpoint).content_path)
    return np.concatenate([tensors[name].ravel() for name in ("0.weight", "0.bias", "2.weight", "2.bias")])


def numpys(bench: Bench, spec: dict[str, Any], rule: Rule) -> Floats:
    """The weights that NumPy ends with, from the same first weights on the same rows."""
    run = bench.run(spec)
    resolved: JobSpec = run.spec
    columns = read_columns(run.data_path)
    X, y = np.column_stack(columns[:2]), columns[2]
    start = bench.events({**spec, "optimizer": {"type": "sgd", "lr": 1e-300}})
    net = Net(2, HIDDEN, weights(start).copy())
    size = resolved.training.batch_size if isinstance(resolved.training.batch_size, int) else len(y)
    steps = -(-len(y) // size)
    for step in range(EPOCHS * steps):
        first = step % steps * size
        rows = slice(first, first + size)
        eta = resolved.optimizer.lr * lr_factor(
            resolved.schedule,
            step,
            total_steps=EPOCHS * steps,
            steps_per_epoch=steps,
            peak_lr=resolved.optimizer.lr,
        )
        rule(net, lambda rows=rows: net.gradient(X[rows], y[rows], resolved.loss.reduction), eta)  # type: ignore[misc]
    return net.theta


def read_columns(path: Path) -> list[Floats]:
    stored = load_file(path)
    return [stored[f"values.{index}"].astype(np.float64) for index in range(3)]


def test_gradient_descent_takes_all_rows_at_every_step(bench: Bench) -> None:
    spec = body({"type": "sgd", "lr": 0.5}, training={"batch_size": "full"})
    np.testing.assert_allclose(
        weights(bench.events(spec)), numpys(bench, spec, reference.gradient_descent), rtol=1e-10, atol=1e-13
    )


def test_sgd_takes_one_row_a_step(bench: Bench) -> None:
    spec = body({"type": "sgd", "lr": 0.05}, training={"batch_size": 1})
    np.testing.assert_allclose(
        weights(bench.events(spec)), numpys(bench, spec, reference.gradient_descent), rtol=1e-10, atol=1e-13
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_mini_batchs_gradient_is_the_mean_or_the_sum_over_it(bench: Bench, reduction: str) -> None:
    spec = body({"type": "sgd", "lr": 0.05}, loss={"type": "auto", "reduction": reduction})
    np.testing.assert_allclose(
        weights(bench.events(spec)), numpys(bench, spec, reference.gradient_descent), rtol=1e-10, atol=1e-13
    )


RULES = {
    "momentum": ({"type": "sgd", "lr": 0.1, "momentum": 0.9, "form": "textbook"}, lambda: reference.momentum(0.9)),
    "nesterov": (
        {"type": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True, "form": "textbook"},
        lambda: reference.nesterov(0.9),
    ),
    "rmsprop": (
        {"type": "rmsprop", "lr": 0.02, "alpha": 0.9, "eps": 1e-3, "eps_inside_root": True},
        lambda: reference.rmsprop(0.9, 1e-3),
    ),
    "adam": ({"type": "adam", "lr": 0.03}, lambda: reference.adam(0.9, 0.999, 1e-8)),
}


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("name", RULES)
def test_the_lectures_rules_also_while_the_rate_changes(bench: Bench, name: str, schedule: str) -> None:
    optimizer, rule = RULES[name]
    spec = body(optimizer, schedule={"type": schedule})
    np.testing.assert_allclose(weights(bench.events(spec)), numpys(bench, spec, rule()), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("nesterov", [False, True])
def test_both_forms_of_momentum_agree_until_the_rate_changes(bench: Bench, nesterov: bool) -> None:
    """PyTorch's velocity has no eta in it: v <- beta v + g, w <- w - eta v. Its Nesterov weights are looked ahead."""
    sgd = {"type": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": nesterov}

    def ends(form: str, schedule: str) -> Floats:
        return weights(bench.events(body({**sgd, "form": form}, schedule={"type": schedule})))

    same = np.allclose(ends("torch", "constant"), ends("textbook", "constant"), rtol=1e-9)
    # PyTorch keeps the looked-ahead point w + beta v as its weights: the same path, seen a part of a step later
    assert same is not nesterov
    assert not np.allclose(ends("torch", "cosine"), ends("textbook", "cosine"), rtol=1e-4)
