"""Which way a run takes its steps: a function of its spec, its data's shape and the machine, and of nothing else."""

from __future__ import annotations

from typing import Literal

from torch import nn

from core.engine.steps.stack import is_stackable
from core.spec.base import Shape

StepPath = Literal["autograd", "direct"]


def choose_path(network: nn.Sequential, sample: Shape, begun_on: StepPath | None, *, is_mixed: bool) -> StepPath:
    """The path of a run; `begun_on` is that of the checkpoint it goes on from, which it keeps to the end.

    Mixed precision is autocast's, which knows what PyTorch records.
    """
    if begun_on is not None:
        return begun_on
    return "direct" if not is_mixed and is_stackable(network, sample) else "autograd"
