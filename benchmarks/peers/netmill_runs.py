"""Netmill's engine as the worker calls it, for all of its rows: resolved spec, stored data set, every event read."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engine.workloads import LR, Data, Workload
from core.data.arrays import canonical
from core.data.contents import ArrayContents
from core.data.table import Array
from core.engine.run import Run, train
from core.events import Event, Finished
from core.spec.dataset import DatasetSchema
from core.spec.limits import Limits
from core.spec.plan import check_job


def body_of(workload: Workload, epochs: int, *, validates: bool) -> dict[str, Any]:
    """The job's spec as a user would send it; the rows come scaled."""
    split: dict[str, Any] = {"validation": 0.0, "test": 0.0}
    return {
        "data": {
            "dataset": "rows",
            "split": split | {"column": "split"} if validates else split,
            "preprocess": {"scale": "none"},
        },
        "task": "classification",
        "network": {"layers": list(workload.layers)},
        "optimizer": {"type": "adam", "lr": LR},
        "training": {"epochs": epochs, "batch_size": workload.batch, "device": "cpu"},
    }


class Runs:
    """Runs of one workload on its stored rows, each in a folder that is gone afterwards."""

    def __init__(self, workload: Workload, data: Data, threads: int, *, validates: bool) -> None:
        self._workload, self._threads, self._validates = workload, threads, validates
        self._folder = tempfile.TemporaryDirectory(prefix="netmill-bench-")
        self._data_path = Path(self._folder.name) / "data.safetensors"
        contents = _contents(data, validates=validates)
        contents.write(self._data_path)
        self._schema = DatasetSchema.model_validate(contents.describe()[0])

    def run(self, epochs: int, seed: int = 0, **training: Any) -> Run:
        """One that has not begun; `training` are further fields of that part of the spec."""
        body = body_of(self._workload, epochs, validates=self._validates)
        body["training"] |= {"seed": seed, **training}
        plan = check_job(body, lambda _: self._schema, Limits())
        workdir = Path(tempfile.mkdtemp(dir=self._folder.name))
        return Run(plan.spec, self._schema, self._data_path, workdir, threads=self._threads)

    def train(self, epochs: int, **training: Any) -> None:
        """Trains to the end; a run that ends in any other way is an error."""
        check_finished(list(train(self.run(epochs, **training), lambda: None)))


def check_finished(events: list[Event]) -> None:
    if not isinstance(events[-1], Finished):
        raise RuntimeError(f"received {events[-1]}, expected a run that finishes")


def _contents(data: Data, *, validates: bool) -> ArrayContents:
    arrays: dict[str, Array] = {"x": data.x, "y": data.y}
    if validates:
        x, y = np.concatenate([data.x, data.validation_x]), np.concatenate([data.y, data.validation_y])
        parts = np.array(["train"] * len(data.x) + ["validation"] * len(data.validation_x))
        arrays = {"x": x, "y": y, "split": parts}
    return ArrayContents(*canonical(arrays))
