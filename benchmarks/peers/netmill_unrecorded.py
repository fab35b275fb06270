"""Netmill as it trains every job, but that no state is kept or written: what keeping costs is the difference."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.engine.workloads import Data, Workload
from benchmarks.peers.netmill_runs import Runs
from benchmarks.peers.peer import Train
from core.engine import run
from core.engine.checkpoint import Snapshot
from core.engine.keeper import Keeper
from core.events import Checkpoint


class Forgetful(Keeper):
    """Keeps nothing."""

    def epoch_ended(self, snapshot: Snapshot) -> Iterator[Checkpoint]:
        del snapshot
        yield from ()

    def is_due_within(self, every_s: float) -> bool:
        del every_s
        return False

    def flush(self) -> Iterator[Checkpoint]:
        yield from ()


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The training, ready to go; this process keeps no state of any run from now on."""
    run.Keeper = Forgetful  # type: ignore[attr-defined] # only this row replaces it
    return Runs(workload, data, threads, validates=True).train
