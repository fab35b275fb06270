"""Golden curves: a refactor moves no digit of these histories.

After a change that is meant to move them: `NETMILL_WRITE_GOLDEN=1 pytest tests/core/engine/test_golden.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from core.events import Finished
from tests.core.engine.workbench import Bench, last, rows

FOLDER = Path(__file__).parents[2] / "golden"


def layers(*types: str, units: int = 16) -> dict[str, Any]:
    """Each type with its defaults, a linear layer of `units` where it says so."""
    return {"layers": [{"type": name, "units": units} if name == "linear" else {"type": name} for name in types]}


BODIES: dict[str, dict[str, Any]] = {
    "digits_relu": {"data": {"dataset": "digits"}, "network": layers("linear", "relu", units=32)},
    "moons_noise": {
        "data": {"dataset": "moons", "parameters": {"rows": 300, "noise": 0.2}},
        # a bias before batch norm has no gradient but rounding, which Adam makes steps of
        "network": {
            "layers": [
                {"type": "linear", "units": 16, "bias": False},
                *layers("batch_norm", "swish", "dropout", "linear", "layer_norm", "gelu")["layers"],
            ]
        },
        "optimizer": {"type": "adamw", "lr": 0.01},
        "schedule": {"type": "one_cycle"},
        "training": {"clip_grad_norm": 1.0},
    },
    "diabetes_huber": {
        "data": {"dataset": "diabetes", "preprocess": {"target_scale": "standard", "scale": "robust"}},
        "network": layers("linear", "tanh"),
        "loss": {"type": "huber", "delta": 0.5},
        "optimizer": {"type": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True},
        "schedule": {"type": "cosine", "warmup_steps": 10},
        "regularization": {"l2": 0.001},
    },
    "wine_balanced": {
        "data": {"dataset": "wine", "preprocess": {"scale": "minmax"}},
        "network": layers("linear", "elu") | {"init": {"type": "orthogonal"}},
        "loss": {"type": "auto", "label_smoothing": 0.1, "class_weight": "balanced"},
        "optimizer": {"type": "rmsprop", "lr": 0.005, "eps_inside_root": True},
        "schedule": {"type": "plateau", "patience": 1},
        "metrics": ["f1", "log_loss"],
    },
    "digits_vae": {
        "data": {"dataset": "digits", "target": "label", "train_on": [0, 1, 2]},
        "network": {"family": "variational_autoencoder", "hidden": [16], "latent": 2},
    },
    "waves_gru": {
        "data": {"dataset": "waves", "parameters": {"rows": 200}},
        "network": {"family": "gru", "hidden": [6, 4], "bidirectional": True, "dropout": 0.1},
    },
    "moons_rbf": {
        "data": {"dataset": "moons", "parameters": {"rows": 300, "noise": 0.2}},
        "network": {"family": "rbf", "hidden": [12], "centres": "learnt"},
    },
    "iris_full_batch": {
        "data": {"dataset": "iris"},
        "network": layers("linear", "sigmoid"),
        "optimizer": {"type": "lbfgs", "max_iter": 4},
        "training": {"batch_size": "full", "precision": "float64"},
    },
}


@pytest.mark.parametrize("name", BODIES)
def test_a_golden_curve(bench: Bench, name: str) -> None:
    body = BODIES[name] | {"training": {"epochs": 6} | BODIES[name].get("training", {})}
    events = bench.events(body)
    curve = {
        "rows": [{"epoch": epoch, "step": step, "values": values} for epoch, step, values in rows(events)],
        "metrics": last(events, Finished).metrics,
    }
    path = FOLDER / f"engine_{name}.json"
    if os.environ.get("NETMILL_WRITE_GOLDEN"):
        path.write_text(json.dumps({"body": body, **curve}, indent=1) + "\n")
    golden = json.loads(path.read_text())
    assert golden["body"] == json.loads(json.dumps(body))
    for ours, theirs in zip(curve["rows"], golden["rows"], strict=True):
        assert (ours["epoch"], ours["step"]) == (theirs["epoch"], theirs["step"])
        # other CPUs add in another order: their curves part by a little more each step
        assert ours["values"] == pytest.approx(theirs["values"], rel=1e-3, abs=1e-5)
    assert curve["metrics"] == pytest.approx(golden["metrics"], rel=1e-3, abs=1e-5)
