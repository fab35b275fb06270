"""Loss and metrics of a part of the data with the network as it stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.data.preparation import Preparation
from core.engine.losses import Loss
from core.engine.metrics import classification_metrics, regression_metrics, scores
from core.engine.outputs import Floats, forward, numbers, probabilities
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
        self.chunk = chunk
        self._width = width

    def __call__(self, network: nn.Module, rows: Rows, split: str) -> dict[str, float]:
        """The loss, as trained but without penalties, and every metric of the run."""
        return figures([self], forward(network, rows.x, self.chunk, rows.device).unsqueeze(0), rows, split)[0]

    def losses(self, outputs: Tensor, rows: Rows) -> Tensor:
        """(M, N) the losses of the rows in double precision, by the outputs (M, N, ...) of M networks."""
        target = rows.target.to(outputs.device)
        with torch.inference_mode():
            return self._loss.of_rows(outputs, target.expand(len(outputs), *target.shape))

    def predicted(self, outputs: Tensor) -> Floats:
        """(M, N, C) probabilities, or (M, N, T) numbers in the network's scale."""
        with torch.inference_mode():
            if self._spec.task != "classification":
                return numbers(outputs, self._spec.loss)
            # the sigmoid of a single logit rounds by where a value stands in its block
            return probabilities(outputs) if outputs.shape[2] > 1 else np.stack([probabilities(z) for z in outputs])

    def metrics(self, predicted: Floats, each: Tensor, rows: Rows) -> dict[str, float]:
        """Every metric of the run, by what one network predicts and the losses (N,) of its rows."""
        if self._spec.task == "classification":
            return classification_metrics(self._names, rows.y, predicted, rows.weight)
        y = self._in_unit(rows.y.astype(np.float64))
        names = [name for name in self._names if not needs_label(self._spec.task, name)]
        values = regression_metrics(names, y, self._in_unit(predicted), rows.weight, self._width)
        return values | self._of_anomalies(each.cpu().numpy(), rows)

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


def figures(evaluators: Sequence[Evaluator], outputs: Tensor, rows: Rows, split: str) -> list[dict[str, float]]:
    """What each evaluator says of its network, `outputs` (M, N, ...) being those of M networks that are alike."""
    first = evaluators[0]
    each, predicted = first.losses(outputs, rows), first.predicted(outputs)
    told = []
    for evaluator, loss, own, losses in zip(evaluators, mean_losses(each, rows), predicted, each, strict=True):
        values = {"loss": loss} | evaluator.metrics(own, losses, rows)
        told.append({f"{split}.{name}": value for name, value in values.items()})
    return told


def losses_of_rows(loss: Loss, outputs: Tensor, rows: Rows) -> Tensor:
    """(N,) the loss of each row in double precision, by its outputs (N, ...)."""
    with torch.inference_mode():
        return loss.each(outputs, rows.target.to(outputs.device)).double()


def mean_loss(each: Tensor, rows: Rows) -> float:
    """The mean of the rows' losses (N,) by event and class weights, without penalties; NaN where no row weighs."""
    return mean_losses(each.unsqueeze(0), rows)[0]


def mean_losses(each: Tensor, rows: Rows) -> list[float]:
    """The same for the losses (M, N) of M networks."""
    with torch.inference_mode():
        if rows.loss_weight is None:
            return [total / each.shape[1] for total in each.sum(1).tolist()]
        weight = rows.loss_weight.double().to(each.device)
        total = float(weight.sum())
        return [own / total if total else math.nan for own in (each * weight).sum(1).tolist()]
