"""PyTorch done well with `torch.compile` over network and loss; the first round pays for the compilation."""

from __future__ import annotations

import torch

from benchmarks.engine.workloads import Data, Workload
from benchmarks.peers import pytorch_well
from benchmarks.peers.peer import Train


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The training, ready to go."""
    return pytorch_well.prepare(workload, data, threads, torch.compile)
