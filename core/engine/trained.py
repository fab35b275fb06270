"""A trained network with its preprocessing, read back from a checkpoint's content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.original import original, rows_of
from core.data.preparation import Preparation
from core.engine.checkpoint import read_tensors
from core.engine.layer_types import stochastic
from core.engine.layer_types.embedding import CodeError
from core.engine.losses import build_loss
from core.engine.network import Network, build_network
from core.engine.outputs import forward, numbers, probabilities
from core.engine.safe import json_safe
from core.engine.seeds import generator
from core.errors import FieldError, Invalid
from core.spec.base import Shape
from core.spec.dataset import Category
from core.spec.job import JobSpec
from core.spec.layer_types.stochastic import Latent

_OUTPUTS = {
    "classification": ("prediction", "probability"),
    "regression": ("prediction",),
    "reconstruction": ("prediction", "reconstruction", "error"),
}


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A network in evaluation mode and what stands before and after it; `network[i]` are the spec's layers."""

    spec: JobSpec
    network: Network
    preparation: Preparation
    classes: tuple[Category, ...] | None
    input_shape: Shape
    meta: dict[str, Any]

    @property
    def encoding(self) -> int | None:
        """The layer whose output is a sample's code."""
        return self.spec.layered().encoding

    @property
    def latent(self) -> int | None:
        """The layer whose draws are decoded to new samples; None where there is none."""
        layers = self.spec.layered().layers
        found = (index for index, layer in enumerate(layers) if isinstance(layer, Latent))
        return next(found, None) if self.spec.task == "reconstruction" else None

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the model can be asked for."""
        more = [("encoding", self.encoding), ("sample", self.latent)]
        return (*_OUTPUTS[self.spec.task], *(name for name, layer in more if layer is not None))

    def predict(
        self,
        rows: list[dict[str, Any]] | None = None,
        inputs: list[Any] | None = None,
        output: str = "prediction",
        *,
        n: int | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """`{"output", "classes", "data"}`, JSON-safe, one entry of `data` a row; `rows` or `inputs` as users send them.

        A `sample` needs neither: `n` are drawn from the prior with `seed` (as many as rows were sent without it).
        Invalid names every value that cannot be used and outputs that this network does not have.
        """
        if output not in self.outputs:
            detail = f"received {output!r}, expected one of {', '.join(self.outputs)} for {self.spec.task}"
            raise Invalid(detail, errors=[FieldError("/output", "unknown_output", detail)])
        names = list(self.classes) if self.classes is not None else None
        if output == "sample":
            count = n if n is not None else len(rows if rows is not None else inputs or [0])
            return {"output": output, "classes": names, "data": json_safe(self._shown(self.sample(count, seed)))}
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
        return {"output": output, "classes": names, "data": json_safe(data)}

    def encode(self, x: Tensor) -> Tensor:
        """(N, *code) what the layer of the code makes of prepared inputs (N, *shape)."""
        assert self.encoding is not None
        return forward(self.network[: self.encoding + 1], x, self.network.rows_at_once)

    def sample(self, n: int, seed: int) -> NDArray[Any]:
        """(n, *shape) draws from N(0, 1) decoded, in the network's scale; the same for the same seed."""
        assert self.latent is not None
        latent = self.network[self.latent]
        assert isinstance(latent, stochastic.Latent)
        weight = latent.mean.weight
        z = torch.randn(n, weight.shape[0], dtype=weight.dtype, generator=generator(seed, "sample"))
        return numbers(forward(self.network[self.latent + 1 :], z, self.network.rows_at_once), self.spec.loss)

    def errors(self, outputs: Tensor, x: Tensor) -> NDArray[np.float64]:
        """(N,) how far each reconstruction is from its inputs, by the loss that was trained: the anomaly score."""
        loss = build_loss(self.spec.loss, "reconstruction", 0, 0, outputs.dtype)
        return loss.each(outputs, x).double().numpy()

    def _data(self, x: NDArray[Any], output: str) -> NDArray[Any] | list[Any]:
        """One entry a row: arrays as they come, or lists."""
        if not len(x):
            return []
        given = torch.from_numpy(x)
        if output == "encoding":
            return self.encode(given).double().numpy()
        z = forward(self.network, given)
        if self.classes is not None:
            p = probabilities(z)
            return p if output == "probability" else [self.classes[index] for index in p.argmax(1)]
        if output == "error":
            return self.errors(z, given)
        values = numbers(z, self.spec.loss)
        if self.spec.task == "reconstruction":
            return self._shown(values)
        return self._numbers(self.preparation.unscale_target(values))

    def _numbers(self, values: NDArray[Any]) -> NDArray[Any]:
        """Predicted numbers in the targets' own units, of a forecast a row for each step ahead."""
        if (window := self.preparation.window) is not None:
            return values.reshape(len(values), window.horizon, -1)
        # one target is a number a row, several are a list
        return values[:, 0] if values.shape[1] == 1 else values

    def _shown(self, values: NDArray[Any]) -> NDArray[Any] | list[Any]:
        """Samples in the inputs' own units: dictionaries of a table, nested lists of arrays."""
        if self.preparation.kind == "table":
            return rows_of(values, self.preparation)
        return original(values, self.preparation)


def load_trained(content: Path) -> TrainedModel:
    """The model in a checkpoint's content file, on the CPU; ValueError when the file is of another format."""
    tensors, meta = read_tensors(content)
    spec = JobSpec.model_validate(meta["spec"])
    shape = tuple(meta["input_shape"])
    network = build_network(spec.layered(), shape, seed=spec.training.seed, precision=spec.training.dtype)
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
