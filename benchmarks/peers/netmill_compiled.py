"""Netmill's training alone on the compiled path, whatever the plan would choose; the first round pays for compiling."""

from __future__ import annotations

from functools import partial

from benchmarks.engine.workloads import Data, Workload
from benchmarks.peers.netmill_runs import Runs
from benchmarks.peers.peer import Train


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The training, ready to go."""
    runs = Runs(workload, data, threads, validates=False)
    # a spec that is refused is told before anything is timed
    runs.run(1, compile="always")
    return partial(runs.train, compile="always")
