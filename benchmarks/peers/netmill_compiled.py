"""Netmill's training alone on the compiled path, whatever the plan would choose; the first round pays for compiling.

Every run begins by fetching the compiled code, for seconds that vary by more than its steps take. So the clock starts
at the end of the first epoch.
"""

from __future__ import annotations

import time

from benchmarks.engine.workloads import Data, Workload
from benchmarks.peers.netmill_runs import Runs, check_finished
from benchmarks.peers.peer import Train
from core.engine.run import train
from core.events import Event, Metrics


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The training, ready to go."""
    runs = Runs(workload, data, threads, validates=False)
    # a spec that is refused is told before anything is timed
    runs.run(1, compile="always")

    def seconds(epochs: int) -> float:
        events: list[Event] = []
        ends: list[float] = []
        for event in train(runs.run(epochs, compile="always"), lambda: None):
            events.append(event)
            if isinstance(event, Metrics):
                ends.append(time.perf_counter())
        check_finished(events)
        return ends[-1] - ends[0]

    return seconds
