"""What a peer is to the harness: a name, a module that trains, and what it may be asked to train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.engine.workloads import Data, Workload

Train = Callable[[int], float | None]
"""Trains for so many epochs and returns when all of their steps are done: nothing, or the seconds that count where a
run begins with what is no part of its steps."""


class Prepares(Protocol):
    """What the module of a peer has under the name `prepare`."""

    def __call__(self, workload: Workload, data: Data, threads: int) -> Train:
        """A training that is ready to go."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One row of the tables. `module` stands in this folder; `venv` is `peers`, or `netmill` for the project's own.

    `models` train at once; a time is told for one step of one of them. `without` says why it has no row for a workload.
    """

    name: str
    title: str
    module: str
    without: Mapping[str, str] = field(default_factory=dict)
    venv: str = "peers"
    environment: Mapping[str, str] = field(default_factory=dict)
    models: int = 1
    pinned: bool = False
    """Whether the process is held on as many cores as it has threads: some take no other limit."""
