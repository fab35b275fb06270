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


def weighted_moons(folder: Any, random: Any, negative: float = 0.0) -> Any:
    """A CSV of two clouds with event weights, a share of them negative."""
    path = folder / f"weighted{negative}.csv"
    lines = ["a,b,w,label"]
    for _ in range(300):
        kind = int(random.integers(2))
        a, b = random.normal(kind, 1.0, 2)
        weight = random.uniform(0.1, 3) * (-1 if random.uniform() < negative else 1)
        lines.append(f"{a},{b},{weight},{'signal' if kind else 'background'}")
    path.write_text("\n".join(lines))
    return path


WEIGHTED: Body = {
    "data": {"dataset": "weighted", "target": "label", "weight": "w", "split": {"validation": 0.2, "test": 0.4}},
    "network": {"family": "feed_forward", "hidden": [8]},
    "optimizer": {"lr": 0.02},
    "training": {"epochs": 20},
}

WAVES: dict[str, Any] = {"dataset": "waves", "parameters": {"rows": 150, "length": 24}}
RECURRENT: Body = {
    "data": WAVES,
    "network": {"layers": [{"type": "lstm", "units": 6, "output": "last"}]},
    "optimizer": {"lr": 0.02},
    "training": {"epochs": 2},
}
CONV_1D: Body = {
    "data": WAVES,
    "network": {
        "layers": [
            {"type": "conv1d", "channels": 4, "kernel_size": 5, "padding": "same"},
            {"type": "batch_norm"},
            {"type": "relu"},
            {"type": "residual", "layers": [{"type": "conv1d", "channels": 4, "kernel_size": 3, "padding": "same"}]},
            {"type": "global_avg_pool"},
        ]
    },
    "training": {"epochs": 2},
}
ATTENTION: Body = {
    "data": WAVES,
    "network": {
        "layers": [
            {"type": "conv1d", "channels": 8, "kernel_size": 3, "padding": "same"},
            {"type": "positional_encoding"},
            {"type": "transformer_encoder", "heads": 2, "hidden": 8},
            {"type": "flatten"},
        ]
    },
    "training": {"epochs": 1},
}
SEQUENCES: Body = {
    "data": WAVES,
    "task": "reconstruction",
    "network": {
        "layers": [
            {"type": "flatten"},
            {"type": "linear", "units": 3},
            {"type": "tanh"},
        ]
    },
    "training": {"epochs": 2},
}
CONV_2D: Body = {
    "data": {"dataset": "digits", "input_shape": [1, 8, 8]},
    "network": {
        "layers": [
            {"type": "conv2d", "channels": 6, "kernel_size": 3, "padding": 1},
            {"type": "relu"},
            {"type": "max_pool2d", "kernel_size": 2},
            {
                "type": "parallel",
                "branches": [
                    [{"type": "conv2d", "channels": 3, "kernel_size": 1}],
                    [{"type": "conv2d", "channels": 3, "kernel_size": 3, "padding": "same"}],
                ],
            },
            {"type": "flatten"},
        ]
    },
    "optimizer": {"lr": 0.01},
    "training": {"epochs": 2},
}
VARIATIONAL: Body = {
    "data": {"dataset": "digits", "input_shape": [1, 8, 8], "preprocess": {"scale": "minmax"}},
    "task": "reconstruction",
    "network": {
        "layers": [
            {"type": "noise", "std": 0.05},
            {"type": "flatten"},
            {"type": "linear", "units": 32},
            {"type": "relu"},
            {"type": "latent", "units": 2},
            {"type": "linear", "units": 32},
            {"type": "relu"},
        ]
    },
    "optimizer": {"lr": 0.005},
    "training": {"epochs": 3},
}
KERNELS: Body = {
    "data": {"dataset": "moons", "parameters": {"rows": 200}},
    "network": {"layers": [{"type": "rbf", "units": 8}]},
    "training": {"epochs": 3},
}
