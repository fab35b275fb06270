"""Keras 3 with `compile` and `fit`, on whichever backend KERAS_BACKEND names."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np

from benchmarks.engine.workloads import LR, Data, Workload
from benchmarks.peers.peer import Train

if os.environ["KERAS_BACKEND"] == "torch":
    import torch


def model_of(workload: Workload) -> Any:
    """The network; images have their channels last, as Keras has them by itself."""
    layers: list[Any] = [
        keras.Input((*workload.shape[1:], workload.shape[0]) if _is_image(workload) else workload.shape)
    ]
    return keras.Sequential([*layers, *map(_build, workload.layers), keras.layers.Dense(workload.outputs)])


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The training, ready to go."""
    if os.environ["KERAS_BACKEND"] == "torch":
        torch.set_num_threads(threads)
    model = model_of(workload)
    losses = keras.losses
    loss = (
        losses.BinaryCrossentropy(from_logits=True)
        if workload.outputs == 1
        else losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.compile(optimizer=keras.optimizers.Adam(LR), loss=loss)
    x = np.ascontiguousarray(data.x.transpose(0, 2, 3, 1)) if _is_image(workload) else data.x

    def train(epochs: int) -> None:
        model.fit(x, data.y, batch_size=workload.batch, epochs=epochs, verbose=0)

    return train


def _is_image(workload: Workload) -> bool:
    return len(workload.shape) == 3


def _build(layer: dict[str, Any]) -> Any:  # noqa: PLR0911 - one for each type of layer
    match layer["type"]:
        case "linear":
            return keras.layers.Dense(layer["units"])
        case "relu":
            return keras.layers.ReLU()
        case "conv2d":
            return keras.layers.Conv2D(layer["channels"], layer["kernel_size"], padding=layer["padding"])
        case "batch_norm":
            return keras.layers.BatchNormalization()
        case "max_pool2d":
            return keras.layers.MaxPooling2D(layer["kernel_size"])
        case "flatten":
            return keras.layers.Flatten()
        case "lstm":
            return keras.layers.LSTM(layer["units"])
        case other:
            raise ValueError(f"received layer {other!r}, which no workload has; add it here")
