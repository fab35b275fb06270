"""The workloads' networks in PyTorch, as a user would write them, from the same list of layers that Netmill takes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.engine.workloads import Classes, Workload


class LastState(nn.Module):
    """An LSTM that gives (N, units), the state after the last step of (N, T, F)."""

    def __init__(self, features: int, units: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, units, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.lstm(x)[0]
        return states[:, -1]


def network(workload: Workload) -> nn.Sequential:
    """The network with its output layer, PyTorch's own first values."""
    modules: list[nn.Module] = []
    shape = workload.shape
    for layer in (*workload.layers, {"type": "linear", "units": workload.outputs}):
        module, shape = _build(layer, shape)
        modules.append(module)
    return nn.Sequential(*modules)


def loss_of(workload: Workload) -> nn.Module:
    return nn.BCEWithLogitsLoss() if workload.outputs == 1 else nn.CrossEntropyLoss()


def target_of(workload: Workload, y: Classes) -> Tensor:
    """What the loss compares with: class numbers, or (N, 1) numbers of two classes."""
    target = torch.from_numpy(y)
    return target.float()[:, None] if workload.outputs == 1 else target


def _build(  # noqa: PLR0911 - one for each type of layer
    layer: dict[str, Any], shape: tuple[int, ...]
) -> tuple[nn.Module, tuple[int, ...]]:
    """(module, shape of what it gives for a row of `shape`)."""
    match layer["type"]:
        case "linear":
            return nn.Linear(shape[0], layer["units"]), (layer["units"],)
        case "relu":
            return nn.ReLU(), shape
        case "conv2d":
            size, channels = layer["kernel_size"], layer["channels"]
            return nn.Conv2d(shape[0], channels, size, padding=layer["padding"]), (channels, *shape[1:])
        case "batch_norm":
            return nn.BatchNorm2d(shape[0]), shape
        case "max_pool2d":
            size = layer["kernel_size"]
            return nn.MaxPool2d(size), (shape[0], shape[1] // size, shape[2] // size)
        case "flatten":
            return nn.Flatten(), (shape[0] * shape[1] * shape[2],)
        case "lstm":
            return LastState(shape[1], layer["units"]), (layer["units"],)
        case other:
            raise ValueError(f"received layer {other!r}, which no workload has; add it here")
