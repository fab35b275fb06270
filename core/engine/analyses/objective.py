"""The loss of a part with the network as it stands, and what a request may cost."""

from __future__ import annotations

import math

import torch
from torch import nn

from core.engine.analyses.context import Context, refuse
from core.engine.losses import Loss
from core.engine.network import all_layers
from core.engine.outputs import forward
from core.engine.rows import Rows
from core.spec.job import JobSpec

MOST_OPERATIONS = 3e12
"""Floating-point operations of one analysis: some minutes of one core."""
_PLEASANT_OPERATIONS = 4e11


def plain_loss(network: nn.Module, loss: Loss, rows: Rows) -> float:
    """The loss as evaluation reports it: no penalties, evaluation mode, mean by event and class weights."""
    outputs = forward(network, rows.x)
    with torch.inference_mode():
        each = loss.each(outputs, rows.target).double()
        weight = torch.ones_like(each) if rows.loss_weight is None else rows.loss_weight.double()
        total = float(weight.sum())
        return float((each * weight).sum()) / total if total else math.nan


def affordable_rows(context: Context, wanted: int | None, usual: int, passes: int) -> int:
    """How many rows an analysis takes that sends each of them through the network `passes` times.

    What the request says, Invalid when that is too costly; without a word the usual number, and as few as 50 where
    that would take longer than half a minute or so.
    """
    if wanted is None:
        flops = flops_per_row(context.model.spec, context.model.input_shape)
        return max(50, min(usual, int(_PLEASANT_OPERATIONS / (flops * passes))))
    check_cost(context, passes * wanted, "/rows", "lower rows")
    return wanted


def check_cost(context: Context, passes: float, pointer: str, do: str) -> None:
    """Raises Invalid when so many rows through the network are more than an analysis may cost."""
    operations = passes * flops_per_row(context.model.spec, context.model.input_shape)
    if operations > MOST_OPERATIONS:
        raise refuse(
            pointer,
            "too_costly",
            f"received a request of {operations:.1e} operations, expected at most {MOST_OPERATIONS:.0e}; do {do}",
        )


def flops_per_row(spec: JobSpec, shape: tuple[int, ...]) -> int:
    """Operations of one row's forward pass."""
    total = 0
    for layer in all_layers(spec.layered()):
        total += layer.flops(shape)
        shape = layer.output_shape(shape)
    return max(1, total)
