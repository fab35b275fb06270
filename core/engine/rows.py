"""The rows of a run as tensors: gathered in the epoch's order a window at a time, then sliced into batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.prepare import Part, Parts
from core.data.split import data_error
from core.engine.losses import Loss, class_weights
from core.engine.residence import CPU, home_of, is_home, sent
from core.spec.job import JobSpec

Batch = tuple[Tensor, Tensor, Tensor | None]


@dataclass(frozen=True, slots=True)
class Rows:
    """One part of the data. x (N, *shape); target as the loss takes it; `loss_weight` is event times class weight.

    These three stand on `device`, where the network is, or in the host's memory if they are too many for it.
    """

    x: Tensor
    target: Tensor
    loss_weight: Tensor | None
    y: NDArray[Any]
    """(N,) class index, or (N, T) numbers in the network's scale: what metrics compare with."""
    weight: NDArray[np.float64] | None
    """(N,) event weights, which alone count in metrics."""
    anomaly: NDArray[np.bool_] | None = None
    """(N,) what the label of a reconstruction says."""
    device: torch.device = CPU

    def __len__(self) -> int:
        return len(self.x)

    def take(self, order: Tensor | None, first: int, last: int) -> Batch:
        """Rows `first` to `last` of the order (None: as they stand) on the device, in memory of their own.

        Matrix products round by where a block begins in its line of memory, which is the same for every such copy.
        """
        return self._gathered(self.x, order, first, last), *self.answers(order, first, last)

    def answers(self, order: Tensor | None, first: int, last: int) -> tuple[Tensor, Tensor | None]:
        """Targets and loss weights alone of these rows."""
        target = self._gathered(self.target, order, first, last)
        return target, None if self.loss_weight is None else self._gathered(self.loss_weight, order, first, last)

    def _gathered(self, values: Tensor, order: Tensor | None, first: int, last: int) -> Tensor:
        # whole rows are copied at once there, where x[where] goes value by value
        rows = values[first:last].clone() if order is None else values.index_select(0, order[first:last])
        return rows if is_home(rows, self.device) else sent(rows, self.device)


@dataclass(frozen=True, slots=True)
class Window:
    """Some dozen steps of an epoch whose rows are gathered at once and whose figures are summed at once."""

    first_step: int
    last_step: int
    edges: tuple[int, ...]
    """Row numbers (in the epoch's order) where its batches begin, and where the last one ends."""

    def take(self, rows: Rows, order: Tensor | None) -> Taken:
        """Its rows in the order of the epoch (None: as they stand)."""
        return Taken(rows, order, self)


@dataclass(slots=True)
class Taken:
    """The rows of a window in the epoch's order. They are gathered once somebody asks for batches: of the runs of a
    cohort, whose batches are gathered together, nobody does."""

    rows: Rows
    order: Tensor | None
    window: Window
    _gathered: Batch | None = None
    _batches: list[Batch] | None = None

    def batches(self, first_step: int, count: int | None = None) -> list[Batch]:
        """`count` of them (None: all that are left) from the step `first_step` of the epoch on."""
        if self._batches is None:
            edges = self.window.edges
            x, target, weight = self._gathered = self.rows.take(self.order, edges[0], edges[-1])
            sizes = [end - start for start, end in pairwise(edges)]
            weights = (None,) * len(sizes) if weight is None else torch.split(weight, sizes)
            self._batches = list(zip(torch.split(x, sizes), torch.split(target, sizes), weights, strict=True))
        first = first_step - self.window.first_step
        return self._batches[first : None if count is None else first + count]

    def answers(self) -> tuple[Tensor, Tensor | None]:
        """(rows of the window, ...) targets, and (rows of the window,) loss weights."""
        if self._gathered is not None:
            return self._gathered[1:]
        return self.rows.answers(self.order, self.window.edges[0], self.window.edges[-1])

    def edges(self, first_step: int, count: int) -> list[int]:
        """Where the batches of so many steps begin, and where the last one ends, counted from the window's begin."""
        first = first_step - self.window.first_step
        return [edge - self.window.edges[0] for edge in self.window.edges[first : first + count + 1]]

    def numbers(self, first_step: int, count: int) -> Tensor:
        """The numbers of the rows of so many steps."""
        first = first_step - self.window.first_step
        start, end = self.window.edges[first], self.window.edges[first + count]
        return torch.arange(start, end, device=self.rows.x.device) if self.order is None else self.order[start:end]


@dataclass(frozen=True, slots=True)
class Batching:
    """How an epoch falls into steps and windows: a pure function of sizes, so that a position is one number."""

    edges: tuple[int, ...]
    window_steps: int
    every_steps: int | None

    @property
    def steps_per_epoch(self) -> int:
        return len(self.edges) - 1

    @property
    def largest_batch(self) -> int:
        return max(end - start for start, end in pairwise(self.edges))

    @property
    def first_batch(self) -> int:
        """Rows of all batches but the last of an epoch, which may have fewer (or, with batch norm, one more)."""
        return self.edges[1] - self.edges[0]

    @property
    def equal_steps(self) -> int:
        """Steps of a window whose batches are of one size."""
        equal = sum(end - start == self.first_batch for start, end in pairwise(self.edges))
        return min(equal, self.window_steps, self.every_steps or equal)

    def windows(self, epoch: int, from_step: int) -> Iterator[Window]:
        """The windows of an epoch (0 the first) from the one that holds `from_step`, a step within the epoch."""
        step = 0
        while step < self.steps_per_epoch:
            end = self._window_end(epoch, step)
            if end > from_step:
                yield Window(step, end, self.edges[step : end + 1])
            step = end

    def _window_end(self, epoch: int, step: int) -> int:
        end = min(step + self.window_steps, self.steps_per_epoch)
        if self.every_steps is not None:
            # a row is due there, and needs the sums up to it
            done = epoch * self.steps_per_epoch + step
            end = min(end, step + self.every_steps - done % self.every_steps)
        return end


def plan_batches(rows: int, batch_size: int, values_per_row: int, every_steps: int | None, needs_two: bool) -> Batching:
    """Batches of `batch_size`, the last one smaller; windows of at most 64 steps and about 4 MB.

    With batch norm a last batch of one row has no variance: its row joins the batch before.
    """
    edges = [*range(0, rows, batch_size), rows]
    if needs_two and len(edges) > 2 and edges[-1] - edges[-2] == 1:
        del edges[-2]
    window_steps = max(1, min(64, 2**20 // max(1, batch_size * values_per_row)))
    return Batching(tuple(edges), window_steps, every_steps)


def split_rows(parts: Parts, spec: JobSpec, loss: Loss, device: torch.device) -> tuple[Rows, Rows | None, Rows | None]:
    """Training, validation and test rows for a network on the device; None where a part is empty."""
    per_class = _weights_of_classes(parts, spec)
    home = home_of(sum(map(_bytes, parts.present)), device)

    def rows(part: Part | None) -> Rows | None:
        return None if part is None else _rows(part, loss, per_class, home, device)

    train = rows(parts.train)
    assert train is not None
    return train, rows(parts.validation), rows(parts.test)


def _rows(
    part: Part, loss: Loss, per_class: NDArray[np.float64] | None, home: torch.device, device: torch.device
) -> Rows:
    """The part as tensors: what can stay in the memory that it came in does."""
    x = torch.from_numpy(part.x)
    y = part.x if part.y is None else part.y
    target = x if part.y is None else loss.encode(torch.from_numpy(y))
    loss_weight = part.weight
    if per_class is not None:
        loss_weight = per_class[y] if loss_weight is None else loss_weight * per_class[y]
    x_at_home = x.to(home)
    return Rows(
        x=x_at_home,
        target=x_at_home if target is x else target.to(home),
        loss_weight=None if loss_weight is None else torch.from_numpy(loss_weight).to(x.dtype).to(home),
        y=y,
        weight=None if part.weight is None else part.weight.astype(np.float64),
        anomaly=part.anomaly,
        device=device,
    )


def _bytes(part: Part) -> int:
    """What its rows take; windows of a series, which are views of one array, take their whole length elsewhere."""
    arrays = (part.x, part.y, part.weight)
    return sum(array.size * array.itemsize for array in arrays if array is not None)


def _weights_of_classes(parts: Parts, spec: JobSpec) -> NDArray[np.float64] | None:
    """(C,) from the spec, `balanced` by the training rows' event weights."""
    if spec.task != "classification" or parts.train.y is None:
        return None
    names = [_as_key(value) for value in parts.preparation.classes or ()]
    counts = np.bincount(parts.train.y, weights=parts.train.weight, minlength=len(names))
    if spec.loss.class_weight == "balanced" and (counts < 0).any():
        name = names[int((counts < 0).argmax())]
        raise data_error(
            f"the training weights of class {name} sum to {counts.min():g}, by which balanced cannot divide",
            "/loss/class_weight",
            "give each class its weight, or none",
        )
    weights = class_weights(spec.loss, counts.tolist(), names)
    return None if weights is None else np.array(weights)


def _as_key(value: bool | int | str) -> str:
    """A class as a key of a JSON object."""
    return str(value).lower() if isinstance(value, bool) else str(value)
