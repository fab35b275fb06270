"""Netmill as it trains every job: each epoch is evaluated on the validation rows, recorded, and kept if it is due."""

from __future__ import annotations

from benchmarks.engine.workloads import Data, Workload
from benchmarks.peers.netmill_runs import Runs
from benchmarks.peers.peer import Train


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The training, ready to go."""
    return Runs(workload, data, threads, validates=True).train
