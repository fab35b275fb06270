"""One forward and one backward pass in float64, with every value between two layers kept."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.engine.analyses.context import Context, Part


@dataclass(frozen=True, slots=True)
class Pass:
    """`values[i]` (R, *shape) goes into layer i, the last ones are the outputs; each has its `grad`, dL/dvalue."""

    network: nn.Sequential
    values: list[Tensor]
    loss: Tensor


def both_ways(context: Context, part: Part) -> Pass:
    """The pass of the part's rows through a copy of the network in evaluation mode; the model itself is left alone.

    Rows do not depend on each other there: batch norm has its running statistics, dropout drops nothing.
    """
    network = copy.deepcopy(context.model.network).double().eval().requires_grad_(True)
    rows = part.rows
    with torch.enable_grad():
        values = [rows.x.double().requires_grad_(True)]
        for module in network:
            # what passes a value through hands on the same tensor, whose gradient would be counted once alone
            values.append(module(values[-1]) * 1.0)
            values[-1].retain_grad()
        target = rows.target.double() if rows.target.is_floating_point() else rows.target
        weight = None if rows.loss_weight is None else rows.loss_weight.double()
        loss = part.loss(values[-1], target, weight)
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
    return Pass(network, values, loss.detach())
