"""The usual loop of PyTorch once for each job: a new network, a new optimizer, the same rows."""

from __future__ import annotations

from benchmarks.engine.workloads import TOGETHER, Data, Workload
from benchmarks.peers import pytorch_usual
from benchmarks.peers.peer import Train


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """All of them one after the other."""

    def train(epochs: int) -> None:
        for _ in range(TOGETHER):
            pytorch_usual.prepare(workload, data, threads)(epochs)

    return train
