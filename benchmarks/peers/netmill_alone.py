"""Netmill's training alone: no row validates, as with all other peers. Checkpoints cannot be switched off."""

from __future__ import annotations

from benchmarks.engine.workloads import Data, Workload
from benchmarks.peers.netmill_runs import Runs
from benchmarks.peers.peer import Train


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The training, ready to go."""
    return Runs(workload, data, threads, validates=False).train
