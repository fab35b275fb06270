"""Jobs that the tests of analyses train: small, of every task and shape."""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]

MOONS: Body = {
    "data": {"dataset": "moons", "parameters": {"rows": 400}},
    "network": {"family": "feed_forward", "hidden": [16, 8], "activation": "tanh"},
    "optimizer": {"lr": 0.02},
    "training": {"epochs": 20},
    "checkpoints": {"keep_last": 20},
}
IRIS: Body = {
    "data": {"dataset": "iris"},
    "network": {"family": "feed_forward", "hidden": [8]},
    "optimizer": {"lr": 0.02},
    "training": {"epochs": 40},
}
DIGITS: Body = {
    "data": {"dataset": "digits"},
    "network": {"layers": [{"type": "flatten"}, {"type": "linear", "units": 32}, {"type": "relu"}]},
    "optimizer": {"lr": 0.01},
    "training": {"epochs": 4},
}
SINE: Body = {
    "data": {"dataset": "sine", "parameters": {"rows": 200}},
    "network": {"family": "feed_forward", "hidden": [16], "activation": "tanh"},
    "optimizer": {"lr": 0.05},
    "training": {"epochs": 30},
}
DIABETES: Body = {
    "data": {"dataset": "diabetes", "preprocess": {"target_scale": "standard"}},
    "network": {"family": "feed_forward", "hidden": [16]},
    "optimizer": {"lr": 0.01},
    "training": {"epochs": 15},
}
IMAGES: Body = {**DIGITS, "data": {"dataset": "digits", "input_shape": [1, 8, 8]}}
AUTOENCODER: Body = {
    "data": {"dataset": "digits", "input_shape": [1, 8, 8], "preprocess": {"scale": "minmax"}},
    "task": "reconstruction",
    "network": {
        "layers": [
            {"type": "flatten"},
            {"type": "linear", "units": 32},
            {"type": "relu"},
            {"type": "linear", "units": 2},
            {"type": "linear", "units": 32},
            {"type": "relu"},
        ]
    },
    "optimizer": {"lr": 0.005},
    "training": {"epochs": 15},
}
FLAT_AUTOENCODER: Body = {
    "data": {"dataset": "wine"},
    "task": "reconstruction",
    "network": {"layers": [{"type": "linear", "units": 4}, {"type": "tanh"}]},
    "optimizer": {"lr": 0.02},
    "training": {"epochs": 30},
}
WINE: Body = {
    "data": {"dataset": "wine"},
    "network": {"family": "feed_forward", "hidden": [16]},
    "optimizer": {"lr": 0.02},
    "training": {"epochs": 20},
}


def weighted_moons(folder: Any, random: Any) -> Any:
    """A CSV of moons with event weights."""
    path = folder / "weighted.csv"
    lines = ["a,b,w,label"]
    for _ in range(300):
        kind = int(random.integers(2))
        a, b = random.normal(kind, 1.0, 2)
        lines.append(f"{a},{b},{random.uniform(0.1, 3)},{'signal' if kind else 'background'}")
    path.write_text("\n".join(lines))
    return path


WEIGHTED: Body = {
    "data": {"dataset": "weighted", "target": "label", "weight": "w", "split": {"validation": 0.2, "test": 0.4}},
    "network": {"family": "feed_forward", "hidden": [8]},
    "optimizer": {"lr": 0.02},
    "training": {"epochs": 20},
}
