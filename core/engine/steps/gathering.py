"""The batches of many runs, gathered at once where they train on the same rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.engine.rows import Batch, Rows
from core.engine.steps.blocks import LINE, LINE_BYTES


def gathered(rows: Sequence[Rows], where: Tensor, before: int) -> Batch:
    """x (M, N, *sample), target (M, N, ...) and weights (M, N) of the rows with the numbers `where` (M, N).

    `rows` are those of each run. In x each run's begin in their line of memory as alone, where `before` others of the
    window stand before them in one block.
    """
    networks, count = where.shape
    if all(each is rows[0] for each in rows):
        x, target, weight = rows[0].take(where.reshape(-1), 0, networks * count)
        x, target = (part.view(*where.shape, *part.shape[1:]) for part in (x, target))
        weight = None if weight is None else weight.view(where.shape)
    else:
        each_x, each_target, each_weight = zip(
            *(own.take(numbers, 0, count) for own, numbers in zip(rows, where, strict=True)), strict=True
        )
        x, target = torch.stack(each_x), torch.stack(each_target)
        weight = None if each_weight[0] is None else torch.stack(each_weight)
    return _in_lines(x, shift_of(x[0], before)), target, weight


def shift_of(rows: Tensor, before: int) -> int:
    """Values between the begin of a line of memory and that of a batch with so many rows (N, ...) before it."""
    return before * rows[0].nbytes % LINE_BYTES // rows.element_size()


def _in_lines(x: Tensor, shift: int) -> Tensor:
    """The same values, each network's beginning so many values behind the begin of a line of memory."""
    if not shift and x.stride(0) * x.element_size() % LINE_BYTES == 0:
        return x
    size = x[0].numel()
    stride = ((shift + size) // LINE + 1) * LINE
    return x.new_empty(len(x), stride)[:, shift : shift + size].view(x.shape).copy_(x)
