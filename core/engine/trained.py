"""A trained network with its preprocessing, read back from a checkpoint's content."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.data.preparation import Preparation
from core.engine.checkpoint import read_tensors
from core.engine.layer_types.embedding import CodeError
from core.engine.network import build_network
from core.engine.outputs import forward, numbers, probabilities
from core.errors import FieldError, Invalid
from core.spec.base import Shape
from core.spec.dataset import Category
from core.spec.job import JobSpec

_OUTPUTS = {
    "classification": ("prediction", "probability"),
    "regression": ("prediction",),
    "reconstruction": ("prediction", "reconstruction", "error"),
}


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A network in evaluation mode and what stands before and after it; `network[i]` are the spec's layers."""

    spec: JobSpec
    network: nn.Sequential
    preparation: Preparation
    classes: tuple[Category, ...] | None
    input_shape: Shape
    meta: dict[str, Any]

    def predict(
        self,
        rows: list[dict[str, Any]] | None = None,
        inputs: list[Any] | None = None,
        output: str = "prediction",
    ) -> dict[str, Any]:
        """`{"output", "classes", "data"}`, JSON-safe, one entry of `data` a row; `rows` or `inputs` as users send them.

        Invalid names every value that cannot be used and outputs that this network does not have.
        """
        known = _OUTPUTS[self.spec.task]
        if output not in known:
            detail = f"received {output!r}, expected one of {', '.join(known)} for {self.spec.task}"
            raise Invalid(detail, errors=[FieldError("/output", "unknown_output", detail)])
        if (rows is None) == (inputs is None):
            raise Invalid(
                "send either 'rows' or 'inputs'",
                errors=[FieldError("/rows", "rows_or_inputs", "expected exactly one of rows and inputs")],
            )
        x = self.preparation.rows_to_x(rows) if rows is not None else self.preparation.inputs_to_x(inputs or [])
        try:
            data = self._data(x, output)
        except CodeError as error:
            where = "/inputs" if rows is None else "/rows"
            raise Invalid(str(error), errors=[FieldError(where, "unknown_code", str(error))]) from error
        names = list(self.classes) if self.classes is not None else None
        return {"output": output, "classes": names, "data": data}

    def _data(self, x: NDArray[Any], output: str) -> list[Any]:
        if not len(x):
            return []
        z = forward(self.network, torch.from_numpy(x))
        if self.classes is not None:
            p = probabilities(z)
            return json_numbers(p) if output == "probability" else [self.classes[index] for index in p.argmax(1)]
        values = numbers(z, self.spec.loss)
        if self.spec.task == "regression":
            values = self.preparation.unscale_target(values)
            if (window := self.preparation.window) is not None:
                return json_numbers(values.reshape(len(values), window.horizon, -1))
            # one target is a number a row, several are a list
            return json_numbers(values[:, 0] if values.shape[1] == 1 else values)
        if output == "error":
            return json_numbers(np.square(values - x).reshape(len(x), -1).mean(1))
        return json_numbers(values)


def load_trained(content: Path) -> TrainedModel:
    """The model in a checkpoint's content file, on the CPU; ValueError when the file is of another format."""
    tensors, meta = read_tensors(content)
    spec = JobSpec.model_validate(meta["spec"])
    shape = tuple(meta["input_shape"])
    network = build_network(spec.layered(), shape, seed=spec.training.seed, precision=spec.training.precision)
    network.load_state_dict(tensors)
    network.eval().requires_grad_(False)
    classes = meta["classes"]
    return TrainedModel(
        spec=spec,
        network=network,
        preparation=Preparation.from_json(meta["preparation"]),
        classes=None if classes is None else tuple(classes),
        input_shape=shape,
        meta=meta,
    )


def json_numbers(values: NDArray[Any]) -> list[Any]:
    """Nested lists of plain numbers, None for what is not finite."""
    if np.isfinite(values).all():
        return values.tolist()  # type: ignore[no-any-return]  # a list for every array of one axis or more
    return [_clean(value) for value in values.tolist()]


def _clean(value: Any) -> Any:
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value if math.isfinite(value) else None
