"""The same matrix products by oneDNN, which PyTorch brings along and takes for other layers: on some processors it is
much quicker than the library behind `torch.mm`, and then it is the ceiling.
"""

from __future__ import annotations

import torch

from benchmarks.engine.workloads import Data, Workload
from benchmarks.peers.matmul import products
from benchmarks.peers.peer import Train


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The products of so many epochs; no row of the data is looked at."""
    del data
    torch.set_num_threads(threads)
    # x w^T as oneDNN has it: the weight comes transposed
    step = [(left, right.t()) for left, right, _ in products(workload)]
    product = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001 - it has no public name

    def train(epochs: int) -> None:
        for _ in range(epochs * workload.steps_per_epoch):
            for left, right in step:
                product(left, right, None, "none", [], "")

    return train
