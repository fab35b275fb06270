"""skorch: PyTorch behind scikit-learn's `fit`, without validation split and without print-out."""

from __future__ import annotations

import torch
from skorch import NeuralNet

from benchmarks.engine.workloads import LR, Data, Workload
from benchmarks.peers.peer import Train
from benchmarks.peers.torch_networks import loss_of, network, target_of


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The training, ready to go."""
    torch.set_num_threads(threads)
    target = target_of(workload, data.y).numpy()

    def train(epochs: int) -> None:
        net = NeuralNet(
            network(workload),
            type(loss_of(workload)),
            optimizer=torch.optim.Adam,
            lr=LR,
            max_epochs=epochs,
            batch_size=workload.batch,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
        )
        net.fit(data.x, target)

    return train
