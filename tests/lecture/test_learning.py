"""What trained networks show: width approximates, linear layers collapse, L1 selects."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from core.events import Checkpoint, Finished
from tests.core.engine.workbench import Bench, last
from tests.lecture.reference import Floats


def test_a_wider_hidden_layer_comes_closer_to_the_sine(bench: Bench) -> None:
    """Universal approximation: on rows never seen, the best of three starts errs less with every doubling of width."""

    def error(width: int, seed: int) -> float:
        body = {
            "data": {"dataset": "sine", "parameters": {"rows": 400, "noise": 0.0}, "split": {"validation": 0}},
            "network": {"layers": [{"type": "linear", "units": width}, {"type": "relu"}]},
            "optimizer": {"type": "lbfgs", "max_iter": 20},
            "training": {"epochs": 15, "batch_size": "full", "precision": "float64", "seed": seed},
        }
        value: float = last(bench.events(body), Finished).metrics["test.rmse"]
        return value

    errors = [min(error(width, seed) for seed in range(3)) for width in (2, 4, 8, 16, 32)]
    assert all(wide < 0.75 * narrow for narrow, wide in pairwise(errors)), errors
    assert errors[-1] < errors[0] / 30, errors


def tensors(bench: Bench, body: dict[str, Any]) -> dict[str, Floats]:
    return load_file(last(bench.events(body), Checkpoint).content_path)


def test_a_stack_of_linear_layers_is_one_linear_layer(bench: Bench) -> None:
    """w^T (W x + b) + c is w'^T x + c' with w' = W^T w: trained, then folded, it predicts the same."""
    body = {
        "data": {"dataset": "diabetes", "preprocess": {"target_scale": "standard"}},
        "network": {"layers": [{"type": "linear", "units": 7}, {"type": "linear", "units": 5}]},
        "training": {"epochs": 5, "precision": "float64"},
    }
    w = tensors(bench, body)
    x = np.random.Generator(np.random.PCG64(0)).normal(size=(50, 10))
    stacked = x
    for layer in (0, 1, 2):
        stacked = stacked @ w[f"{layer}.weight"].T + w[f"{layer}.bias"]
    folded = w["2.weight"] @ w["1.weight"] @ w["0.weight"]
    constant = w["2.weight"] @ (w["1.weight"] @ w["0.bias"] + w["1.bias"]) + w["2.bias"]
    np.testing.assert_allclose(stacked, x @ folded.T + constant, rtol=1e-6, atol=1e-9)


def test_a_linear_stack_learns_no_more_than_least_squares(bench: Bench) -> None:
    """Trained to the end, the stack and a single layer find the same line."""

    def predictions(layers: list[dict[str, Any]]) -> dict[str, Any]:
        body = {
            "data": {"dataset": "diabetes", "preprocess": {"target_scale": "standard"}},
            "network": {"layers": layers, "init": {"type": "xavier"}},
            "optimizer": {"type": "lbfgs", "max_iter": 50},
            "training": {"epochs": 20, "batch_size": "full", "precision": "float64"},
            "checkpoints": {"keep_best": False},
        }
        events = bench.events(body)
        found: dict[str, Any] = load_file(last(events, Checkpoint).content_path)
        return found

    single = predictions([])
    stacked = predictions([{"type": "linear", "units": 12}])
    folded = stacked["1.weight"] @ stacked["0.weight"]
    np.testing.assert_allclose(folded, single["0.weight"], rtol=1e-3, atol=1e-4)


def test_l1_leaves_weights_at_zero_where_l2_only_shrinks_them(bench: Bench) -> None:
    """Two inputs say all about the moons, twelve are noise: LASSO finds out which."""

    def first_layer(regularization: dict[str, float]) -> Floats:
        noise = {f"n{index}": f"sin({1000 + 137 * index}*x1 + {977 + 61 * index}*x2)" for index in range(12)}
        body = {
            "data": {"dataset": "moons", "derive": noise},
            "network": {"layers": []},
            "optimizer": {"type": "adam", "lr": 0.01},
            "schedule": {"type": "cosine"},
            "regularization": regularization,
            "training": {"epochs": 30},
        }
        return np.abs(tensors(bench, body)["0.weight"][0])

    l1, l2 = first_layer({"l1": 0.03}), first_layer({"l2": 0.03})
    assert (l1[2:] < 1e-3).all()
    assert (l1[:2] > 0.1).all()
    assert (l2[2:] > 1e-3).sum() >= 10
    assert (l2[:2] > 0.1).all()
