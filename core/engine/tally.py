"""Running figures of an epoch's training steps. The sums are in double and added in a fixed order, window by window,
so that a run that stopped in the middle comes to the same digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from core.engine.losses import Loss

_EMPTY = {"loss": 0.0, "weight": 0.0, "right": 0.0, "norm": 0.0, "steps": 0.0, "extra": 0.0, "extra_steps": 0.0}


class Tally:
    """Sums since the epoch began and, for rows within an epoch, since the last row."""

    def __init__(self, loss: Loss, *, is_classification: bool) -> None:
        self.loss = loss
        self.is_classification = is_classification
        self._outputs: list[Tensor] = []
        self._norms: list[Tensor] = []
        self._extras: list[Tensor] = []
        self.epoch = dict(_EMPTY)
        self.since_row = dict(_EMPTY)
        self.window_loss = 0.0
        """That of the last window that was closed; not finite when the run diverged."""

    def add(self, outputs: Tensor, extra_loss: Tensor | None = None) -> None:
        """Notes the outputs of a step, or of some in a row; costs nothing until the window closes."""
        self._outputs.append(outputs)
        if extra_loss is not None:
            self._extras.append(extra_loss)

    def add_norm(self, gradient_norm: Tensor | None) -> None:
        """Notes the length of a step's gradient, where it is computed."""
        if gradient_norm is not None:
            self._norms.append(gradient_norm)

    def close_window(self, target: Tensor, weight: Tensor | None) -> None:
        """Adds the figures of the window with these targets (N, ...) and loss weights (N,) to the sums."""
        close_windows([self], target.unsqueeze(0), None if weight is None else weight.unsqueeze(0))

    def outputs(self) -> Tensor:
        """(N, ...) those of the window."""
        return torch.cat(self._outputs)

    def add_window(self, sums: dict[str, float]) -> None:
        """Adds what a window came to, the lengths of gradients and what layers added with it, and begins the next."""
        sums["steps"] = float(len(self._norms))
        with torch.inference_mode():
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
        self.window_loss = sums["loss"]

    def figures(self, sums: dict[str, float]) -> dict[str, float]:
        """The values of a row: means over the rows and steps that the sums hold."""
        weight = sums["weight"]
        values = {"train.loss": sums["loss"] / weight if weight else 0.0}
        if self.is_classification:
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


def close_windows(tallies: Sequence[Tally], target: Tensor, weight: Tensor | None) -> None:
    """Closes a window of each of M runs that are alike, with targets (M, N, ...) and loss weights (M, N)."""
    first = tallies[0]
    with torch.inference_mode():
        outputs = torch.stack([tally.outputs() for tally in tallies])
        parts = {"loss": first.loss.of_rows(outputs, target)}
        rows = parts["loss"].shape[1]
        if first.is_classification:
            parts["right"] = _is_right(outputs, target).double()
        if weight is not None:
            w = weight.double()
            parts = {name: part * w for name, part in parts.items()} | {"weight": w}
        sums = torch.stack([part.sum(1) for part in parts.values()], 1).tolist()
    for tally, own in zip(tallies, sums, strict=True):
        mean = tally.loss.mean_weight
        # some dozen signed weights may sum to next to nothing: what they are on average stands for them
        counted = {"weight": float(rows)} | dict(zip(parts, own, strict=True))
        tally.add_window(counted if mean is None else counted | {"weight": rows * mean})


def _is_right(outputs: Tensor, target: Tensor) -> Tensor:
    """(M, N) whether the class called is the target's, whatever form the loss takes it in."""
    if outputs.shape[2] == 1:
        return (outputs > 0).squeeze(2) == (target > 0.5).squeeze(2)
    # half of the time of argmax
    called = outputs.max(2).indices
    return called == (target if target.ndim == 2 else target.argmax(2))
