"""The networks that all peers train, and the rows that they train on: the same numbers for everybody.

Every training set is a whole number of batches, so that all peers do the same steps and a compiled scan needs no
remainder. NumPy alone: peers read this in an environment without Netmill.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LR = 1e-3
TOGETHER = 64
"""Jobs that are submitted at once, and how often peers without a queue train the same."""

Floats = NDArray[np.float32]
Classes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Workload:
    """One network with its batch size; `epochs` are the lengths of the short and the long run of a timing."""

    name: str
    title: str
    shape: tuple[int, ...]
    classes: int
    batch: int
    rows: int
    validation_rows: int
    epochs: tuple[int, int]
    layers: tuple[dict[str, Any], ...]
    """As `network.layers` of a job's spec; the output layer follows from `classes`, two of them having one output."""

    @property
    def steps_per_epoch(self) -> int:
        return self.rows // self.batch

    @property
    def timed_steps(self) -> int:
        """Steps that the long run has more than the short one."""
        return (self.epochs[1] - self.epochs[0]) * self.steps_per_epoch

    @property
    def outputs(self) -> int:
        return 1 if self.classes == 2 else self.classes


def _dense(*units: int) -> Iterable[dict[str, Any]]:
    for width in units:
        yield {"type": "linear", "units": width}
        yield {"type": "relu"}


def _convolutions(*channels: int) -> Iterable[dict[str, Any]]:
    for width in channels:
        yield {"type": "conv2d", "channels": width, "kernel_size": 3, "padding": "same"}
        yield {"type": "batch_norm"}
        yield {"type": "relu"}
        yield {"type": "max_pool2d", "kernel_size": 2}


WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload(
            name="digits",
            title="digits: 64-32-10, batch 32",
            shape=(64,),
            classes=10,
            batch=32,
            rows=39 * 32,
            validation_rows=270,
            epochs=(2, 32),
            layers=tuple(_dense(32)),
        ),
        Workload(
            name="mlp",
            title="MLP: 28-300-300-300-1, batch 256",
            shape=(28,),
            classes=2,
            batch=256,
            rows=30 * 256,
            validation_rows=2560,
            epochs=(1, 4),
            layers=tuple(_dense(300, 300, 300)),
        ),
        Workload(
            name="cnn",
            title="CNN: three convolutions on 30x30, batch 64",
            shape=(1, 30, 30),
            classes=2,
            batch=64,
            rows=12 * 64,
            validation_rows=256,
            epochs=(1, 4),
            layers=(*_convolutions(16, 32, 64), {"type": "flatten"}, *_dense(64)),
        ),
        Workload(
            name="lstm",
            title="LSTM: 64 units over 50 steps of 8, batch 32",
            shape=(50, 8),
            classes=4,
            batch=32,
            rows=20 * 32,
            validation_rows=128,
            epochs=(1, 4),
            layers=({"type": "lstm", "units": 64},),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Data:
    """Rows of one workload: x (N, *shape), y (N,) class numbers; `validation` is what Netmill evaluates on beside."""

    x: Floats
    y: Classes
    validation_x: Floats
    validation_y: Classes

    def write(self, path: Path) -> None:
        np.savez(path, x=self.x, y=self.y, validation_x=self.validation_x, validation_y=self.validation_y)

    @classmethod
    def read(cls, path: Path) -> Data:
        with np.load(path, allow_pickle=False) as file:
            return cls(file["x"], file["y"], file["validation_x"], file["validation_y"])


def made_rows(workload: Workload) -> Data:
    """Random rows of the workload's shape, the same at every call; the classes depend on them, so there is something
    to learn.
    """
    random = np.random.default_rng(0)
    count = workload.rows + workload.validation_rows
    x = random.standard_normal((count, *workload.shape), dtype=np.float32)
    flat = x.reshape(count, -1)
    scores = flat @ random.standard_normal((flat.shape[1], workload.classes), dtype=np.float32)
    y = scores.argmax(axis=1).astype(np.int64)
    return Data(x[: workload.rows], y[: workload.rows], x[workload.rows :], y[workload.rows :])
