"""The matrix products of one training step of a dense network, and nothing else: what arithmetic alone would take.

Forward X W^T, backward dW = dY^T X and dX = dY W of every layer, the first one's dX left out as every library does;
`torch.mm` into memory that is there already.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from benchmarks.engine.workloads import Data, Workload
from benchmarks.peers.peer import Train

Product = tuple[Tensor, Tensor, Tensor]


def products(workload: Workload) -> list[Product]:
    """(left, right, result) of each product of a step, in the order of a step."""
    units = [layer["units"] for layer in workload.layers if layer["type"] == "linear"]
    widths = [workload.shape[0], *units, workload.outputs]
    random = torch.Generator().manual_seed(0)
    forward: list[Product] = []
    backward: list[Product] = []
    for place, (fan_in, fan_out) in enumerate(pairwise(widths)):
        x = torch.randn(workload.batch, fan_in, generator=random)
        w = torch.randn(fan_out, fan_in, generator=random)
        dy = torch.randn(workload.batch, fan_out, generator=random)
        forward.append((x, w.t(), torch.empty(workload.batch, fan_out)))
        if place:
            backward.append((dy, w, torch.empty_like(x)))
        backward.append((dy.t(), x, torch.empty_like(w)))
    return [*forward, *reversed(backward)]


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The products of so many epochs; no row of the data is looked at."""
    del data
    torch.set_num_threads(threads)
    step = products(workload)

    def train(epochs: int) -> None:
        for _ in range(epochs * workload.steps_per_epoch):
            for left, right, result in step:
                torch.mm(left, right, out=result)

    return train
