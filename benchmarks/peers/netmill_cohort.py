"""Netmill with so many jobs in one cohort, training alone; a step is that of one of them."""

from __future__ import annotations

from benchmarks.engine.workloads import TOGETHER, Data, Workload
from benchmarks.peers.netmill_runs import Runs, check_finished
from benchmarks.peers.peer import Train
from core.data.sharing import shared_preparations
from core.engine.cohort import Member, train_together
from core.events import LAST


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The cohort, ready to go; its members differ in their seeds."""
    runs = Runs(workload, data, threads, validates=False)

    def train(epochs: int) -> None:
        members = [Member(runs.run(epochs, seed=seed), lambda: None) for seed in range(TOGETHER)]
        # as the worker's runner has it
        with shared_preparations():
            last = [event for _, event in train_together(members) if isinstance(event, LAST)]
        if len(last) != TOGETHER:
            raise RuntimeError(f"received the end of {len(last)} runs, expected {TOGETHER}")
        for event in last:
            check_finished([event])

    return train
