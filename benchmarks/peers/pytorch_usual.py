"""PyTorch as its tutorials have it: a DataLoader that shuffles, zero_grad, backward, step."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.engine.workloads import LR, Data, Workload
from benchmarks.peers.peer import Train
from benchmarks.peers.torch_networks import loss_of, network, target_of


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The training, ready to go."""
    torch.set_num_threads(threads)
    model, loss_function = network(workload), loss_of(workload)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    rows = TensorDataset(torch.from_numpy(data.x), target_of(workload, data.y))
    loader = DataLoader(rows, batch_size=workload.batch, shuffle=True)

    def train(epochs: int) -> None:
        model.train()
        for _ in range(epochs):
            for x, target in loader:
                optimizer.zero_grad()
                loss = loss_function(model(x), target)
                loss.backward()
                optimizer.step()

    return train
