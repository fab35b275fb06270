"""Running figures of an epoch's training steps. The sums are in double and added in a fixed order, window by window,
so that a run that stopped in the middle comes to the same digits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from core.engine.losses import Loss

_EMPTY = {"loss": 0.0, "weight": 0.0, "right": 0.0, "norm": 0.0, "steps": 0.0, "extra": 0.0, "extra_steps": 0.0}


class Tally:
    """Sums since the epoch began and, for rows within an epoch, since the last row."""

    def __init__(self, loss: Loss, *, is_classification: bool) -> None:
        self._loss = loss
        self._is_classification = is_classification
        self._outputs: list[Tensor] = []
        self._norms: list[Tensor] = []
        self._extras: list[Tensor] = []
        self.epoch = dict(_EMPTY)
        self.since_row = dict(_EMPTY)

    def add(self, outputs: Tensor, extra_loss: Tensor | None = None) -> None:
        """Notes the outputs of a step, or of some in a row; costs nothing until the window closes."""
        self._outputs.append(outputs)
        if extra_loss is not None:
            self._extras.append(extra_loss)

    def add_norm(self, gradient_norm: Tensor | None) -> None:
        """Notes the length of a step's gradient, where it is computed."""
        if gradient_norm is not None:
            self._norms.append(gradient_norm)

    def close_window(self, target: Tensor, weight: Tensor | None) -> float:
        """Adds the figures of the window with these targets (N, ...) and loss weights (N,) to the sums; returns its
        loss, which is not finite when the run diverged."""
        with torch.inference_mode():
            outputs = torch.cat(self._outputs)
            each = self._loss.each(outputs, target).double()
            w = torch.ones_like(each) if weight is None else weight.double()
            # some dozen signed weights may sum to next to nothing: what they are on average stands for them
            mean = self._loss.mean_weight
            total = float(w.sum()) if mean is None else len(w) * mean
            sums = {"loss": float((each * w).sum()), "weight": total, "steps": float(len(self._norms))}
            if self._is_classification:
                sums["right"] = float((w * _is_right(outputs, target)).sum())
            if self._norms:
                sums["norm"] = float(torch.stack(self._norms).double().sum())
            if self._extras:
                sums["extra"] = float(torch.stack(self._extras).double().sum())
                sums["extra_steps"] = float(len(self._extras))
        self._outputs.clear()
        self._norms.clear()
        self._extras.clear()
        for name, value in sums.items():
            self.epoch[name] += value
            self.since_row[name] += value
        return sums["loss"]

    def figures(self, sums: dict[str, float]) -> dict[str, float]:
        """The values of a row: means over the rows and steps that the sums hold."""
        weight = sums["weight"]
        values = {"train.loss": sums["loss"] / weight if weight else 0.0}
        if self._is_classification:
            values["train.accuracy"] = sums["right"] / weight if weight else 0.0
        if sums["steps"]:
            values["train.grad_norm"] = sums["norm"] / sums["steps"]
        if sums["extra_steps"]:
            values["train.extra_loss"] = sums["extra"] / sums["extra_steps"]
        return values

    def end_row(self) -> dict[str, float]:
        """The figures since the last row; the next begin here."""
        values = self.figures(self.since_row)
        self.since_row = dict(_EMPTY)
        return values

    def end_epoch(self) -> dict[str, float]:
        """The epoch's figures; all sums begin anew."""
        values = self.figures(self.epoch)
        self.epoch, self.since_row = dict(_EMPTY), dict(_EMPTY)
        return values

    def tensors(self) -> dict[str, Tensor]:
        """What the open window has seen, when the run stands in the middle of one."""
        found = {"outputs": torch.cat(self._outputs)} if self._outputs else {}
        found |= {"norms": torch.stack(self._norms)} if self._norms else {}
        return found | ({"extras": torch.stack(self._extras)} if self._extras else {})

    def numbers(self) -> dict[str, Any]:
        return {"epoch": dict(self.epoch), "since_row": dict(self.since_row)}

    def load(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        self._outputs = [tensors["outputs"]] if "outputs" in tensors else []
        self._norms = list(tensors["norms"].unbind()) if "norms" in tensors else []
        self._extras = list(tensors["extras"].unbind()) if "extras" in tensors else []
        # states written before a figure was kept lack it
        self.epoch, self.since_row = _EMPTY | numbers["epoch"], _EMPTY | numbers["since_row"]


def _is_right(outputs: Tensor, target: Tensor) -> Tensor:
    """(N,) whether the class called is the target's, whatever form the loss takes it in."""
    if outputs.shape[1] == 1:
        return (outputs > 0).squeeze(1) == (target > 0.5).squeeze(1)
    return outputs.argmax(1) == (target if target.ndim == 1 else target.argmax(1))
