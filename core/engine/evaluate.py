"""Loss and metrics of a part of the data with the network as it stands."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.data.preparation import Preparation
from core.engine.losses import Loss
from core.engine.metrics import classification_metrics, regression_metrics, scores
from core.engine.outputs import forward, numbers, probabilities
from core.engine.rows import Rows
from core.spec.job import JobSpec
from core.spec.metrics import needs_label


class Evaluator:
    """Figures of a part as `<split>.<metric>`; numbers are compared in the target's own unit."""

    def __init__(
        self,
        spec: JobSpec,
        loss: Loss,
        preparation: Preparation,
        names: Iterable[str],
        chunk: int,
        *,
        width: NDArray[np.float64] | None = None,
    ) -> None:
        self._spec = spec
        self._loss = loss
        self._preparation = preparation
        self._names = tuple(names)
        self._chunk = chunk
        self._width = width

    def __call__(self, network: nn.Module, rows: Rows, split: str) -> dict[str, float]:
        """The loss, as trained but without penalties, and every metric of the run."""
        outputs = forward(network, rows.x, self._chunk, rows.device)
        each = losses_of_rows(self._loss, outputs, rows)
        values = {"loss": mean_loss(each, rows)}
        if self._spec.task == "classification":
            values |= classification_metrics(self._names, rows.y, probabilities(outputs), rows.weight)
        else:
            predicted = self._in_unit(numbers(outputs, self._spec.loss))
            y = self._in_unit(rows.y.astype(np.float64))
            names = [name for name in self._names if not needs_label(self._spec.task, name)]
            values |= regression_metrics(names, y, predicted, rows.weight, self._width)
            values |= self._of_anomalies(each.cpu().numpy(), rows)
        return {f"{split}.{name}": value for name, value in values.items()}

    def _of_anomalies(self, error: NDArray[np.float64], rows: Rows) -> dict[str, float]:
        """How well each row's loss tells anomalies; nothing where a part has no label or one kind of rows alone."""
        names = [name for name in self._names if needs_label(self._spec.task, name)]
        if rows.anomaly is None or rows.anomaly.all() or not rows.anomaly.any():
            return {}
        return classification_metrics(names, rows.anomaly.astype(np.int64), scores(error), rows.weight)

    def _in_unit(self, values: NDArray[Any]) -> NDArray[Any]:
        """(N, T); a reconstruction stays in the network's scale, all its values in one row."""
        if self._spec.task == "reconstruction":
            return values.reshape(len(values), -1)
        return self._preparation.unscale_target(values)


def losses_of_rows(loss: Loss, outputs: Tensor, rows: Rows) -> Tensor:
    """(N,) the loss of each row in double precision, by its outputs (N, ...)."""
    with torch.inference_mode():
        return loss.each(outputs, rows.target.to(outputs.device)).double()


def mean_loss(each: Tensor, rows: Rows) -> float:
    """The mean of the rows' losses (N,) by event and class weights, without penalties; NaN where no row weighs."""
    with torch.inference_mode():
        weight = torch.ones_like(each) if rows.loss_weight is None else rows.loss_weight.double().to(each.device)
        total = float(weight.sum())
        return float((each * weight).sum()) / total if total else math.nan
