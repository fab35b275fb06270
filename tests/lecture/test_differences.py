"""Where the field's libraries have another formula than the lecture, and what the difference is in numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from core.engine.network import build_network
from core.events import Checkpoint
from core.spec.network import LayeredNetwork
from tests.core.engine.workbench import Bench, last
from tests.lecture.reference import Floats

UNMOVED = {"type": "sgd", "lr": 1e-300}


def after(bench: Bench, epochs: int = 1, **changes: Any) -> dict[str, Floats]:
    """The weights of a small network behind `epochs` steps of gradient descent."""
    body = {
        "data": {"dataset": "moons", "parameters": {"rows": 60}},
        "network": {"layers": [{"type": "linear", "units": 4}, {"type": "tanh"}]},
        "optimizer": {"type": "sgd", "lr": 0.1},
        "training": {"epochs": epochs, "batch_size": "full", "precision": "float64"},
        "checkpoints": {"keep_best": False},
        **changes,
    }
    return load_file(Path(last(bench.events(body), Checkpoint).content_path))


def test_weight_decay_is_an_l2_of_half_its_size_and_takes_biases_too(bench: Bench) -> None:
    before, plain = after(bench, optimizer=UNMOVED), after(bench)
    decayed = after(bench, optimizer={"type": "sgd", "lr": 0.1, "weight_decay": 0.06})
    penalised = after(bench, regularization={"l2": 0.03})
    for name, w in before.items():
        np.testing.assert_allclose(decayed[name], plain[name] - 0.1 * 0.06 * w, rtol=1e-10, atol=1e-13)
        expected = decayed[name] if name.endswith("weight") else plain[name]
        np.testing.assert_allclose(penalised[name], expected, rtol=1e-10, atol=1e-13)
    assert any(np.abs(w).max() > 0.01 for name, w in before.items() if name.endswith("bias"))


def test_adamw_decays_the_weights_and_adam_the_gradient(bench: Bench) -> None:
    """Adam's first step has the length lr whatever the gradient, so a decay in the gradient is hardly seen in it."""
    lr, decay = 0.01, 0.5
    before = after(bench, optimizer=UNMOVED)
    plain = after(bench, optimizer={"type": "adam", "lr": lr})
    beside = after(bench, optimizer={"type": "adamw", "lr": lr, "weight_decay": decay})
    within = after(bench, optimizer={"type": "adam", "lr": lr, "weight_decay": decay})
    for name, w in before.items():
        np.testing.assert_allclose(beside[name], plain[name] - lr * decay * w, rtol=1e-9, atol=1e-12)
        # to the first digits of lr: a sign may turn, a length does not
        np.testing.assert_allclose(np.abs(within[name] - w), lr, rtol=1e-3)


def test_the_squared_error_has_no_half(bench: Bench) -> None:
    """A linear model's first step on (y - f)^2 is eta times the mean of 2 (f - y)."""
    body = {
        "data": {"dataset": "sine", "parameters": {"rows": 60}, "split": {"validation": 0, "test": 0}},
        "network": {"layers": [], "init": {"type": "zeros"}},
    }
    run = bench.run({**body, "training": {"epochs": 1}})
    stored = load_file(run.data_path)
    y = stored["values.1"].astype(np.float64)
    moved = after(bench, **body)
    assert moved["0.bias"][0] == pytest.approx(0.1 * 2 * y.mean(), rel=1e-9)


def test_gelu_by_tanh_is_near_the_exact_one_and_not_the_same() -> None:
    z = torch.linspace(-4, 4, 81, dtype=torch.float64)[None]

    def gelu(approximate: str) -> Floats:
        spec = LayeredNetwork.model_validate({"layers": [{"type": "gelu", "approximate": approximate}]})
        values: Floats = build_network(spec, (81,), seed=0, precision="float64")(z).numpy()
        return values

    x = z.numpy()
    np.testing.assert_allclose(gelu("none"), x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2, atol=1e-12)
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    np.testing.assert_allclose(gelu("tanh"), x * (1 + np.tanh(inner)) / 2, atol=1e-12)
    assert 1e-5 < np.abs(gelu("none") - gelu("tanh")).max() < 1e-3
