"""PyTorch done well by hand: an epoch's rows are gathered once, batches are slices, and Adam is one fused kernel."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.engine.workloads import LR, Data, Workload
from benchmarks.peers.peer import Train
from benchmarks.peers.torch_networks import loss_of, network, target_of

Objective = Callable[[Tensor, Tensor], Tensor]


def same(objective: Objective) -> Objective:
    return objective


def prepare(
    workload: Workload,
    data: Data,
    threads: int,
    compiled: Callable[[Objective], Objective] = same,
    device: str = "cpu",
) -> Train:
    """The training, ready to go; `compiled` may put something quicker in the objective's place."""
    torch.set_num_threads(threads)
    model, loss_function = network(workload).to(device), loss_of(workload)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
    all_x, all_targets = torch.from_numpy(data.x).to(device), target_of(workload, data.y).to(device)
    objective = compiled(lambda x, target: loss_function(model(x), target))

    def train(epochs: int) -> None:
        model.train()
        for _ in range(epochs):
            order = torch.randperm(len(all_x), device=device)
            batches = zip(
                torch.split(all_x[order], workload.batch), torch.split(all_targets[order], workload.batch), strict=True
            )
            for x, target in batches:
                objective(x, target).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

    return train
