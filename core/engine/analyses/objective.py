"""The loss of a part with the network as it stands, and what a request may cost."""

from __future__ import annotations

from torch import nn

from core.engine.analyses.context import Context, refuse
from core.engine.evaluate import losses_of_rows, mean_loss
from core.engine.losses import Loss
from core.engine.outputs import forward
from core.engine.rows import Rows

MOST_OPERATIONS = 3e12
"""Floating-point operations of one analysis: some minutes of one core."""
_PLEASANT_OPERATIONS = 4e11


def plain_loss(network: nn.Module, loss: Loss, rows: Rows) -> float:
    """The loss as evaluation reports it: no penalties, evaluation mode, mean by event and class weights."""
    return mean_loss(losses_of_rows(loss, forward(network, rows.x), rows), rows)


def affordable_rows(context: Context, wanted: int | None, usual: int, passes: int) -> int:
    """How many rows an analysis takes that sends each of them through the network `passes` times.

    What the request says, Invalid when that is too costly; without a word the usual number, and as few as 50 where
    that would take longer than half a minute or so.
    """
    if wanted is None:
        flops = max(1, context.model.network.flops)
        return max(50, min(usual, int(_PLEASANT_OPERATIONS / (flops * passes))))
    check_cost(context, passes * wanted, "/rows", "lower rows")
    return wanted


def check_cost(context: Context, passes: float, pointer: str, do: str) -> None:
    """Raises Invalid when so many rows through the network are more than an analysis may cost."""
    operations = passes * max(1, context.model.network.flops)
    if operations > MOST_OPERATIONS:
        raise refuse(
            pointer,
            "too_costly",
            f"received a request of {operations:.1e} operations, expected at most {MOST_OPERATIONS:.0e}; do {do}",
        )
