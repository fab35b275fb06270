"""Which of a run's states become files, and when.

A state that the next epoch would replace within a blink is held in memory instead: small jobs end epochs in
milliseconds. What is written in the end (the last state and the best) does not depend on the clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from core.engine.checkpoint import Snapshot, write_snapshot
from core.events import Checkpoint
from core.spec.training import CheckpointsSpec

_LEAST_INTERVAL_S = 0.25
_MOST_INTERVAL_S = 30.0
# writing takes a fortieth of the time at most
_INTERVAL_PER_WRITE = 40.0
# The first state within an epoch is written so soon and the next ones at twice the distance each: a run that is killed
# again and again early in a long epoch gets on all the same, and is not taken for one that kills its worker.
_FIRST_WITHIN_S = 2.0


class Keeper:
    """Writes snapshots into `folder`, in the order of their steps.

    `company` is how many runs share the process: each writes so much more rarely, and all together as often as one.
    """

    def __init__(self, folder: Path, spec: CheckpointsSpec, company: int = 1) -> None:
        self._folder = folder
        self._company = company
        self._spec = spec
        self._held: Snapshot | None = None
        self._held_best: Snapshot | None = None
        self._written_step: int | None = None
        self._last_write = time.monotonic()
        self._interval_s = _LEAST_INTERVAL_S
        self._within_s = _FIRST_WITHIN_S

    def has_written(self, step: int) -> None:
        """The state of this step is stored already: it was resumed from."""
        self._written_step = step

    @property
    def seconds_since_write(self) -> float:
        return time.monotonic() - self._last_write

    def is_due_within(self, every_s: float) -> bool:
        """Whether a state within a long epoch is to be written, `every_s` at the latest after the last."""
        return self.seconds_since_write >= min(every_s, self._company * max(self._within_s, self._interval_s))

    def epoch_ended(self, snapshot: Snapshot) -> Iterator[Checkpoint]:
        """Writes the epoch's state when it is due, else holds a copy."""
        is_asked = snapshot.epoch % self._spec.every_epochs == 0
        # with several kept, each of them counts and none is superseded
        interval_s = min(_MOST_INTERVAL_S, self._company * self._interval_s)
        is_due = self._spec.keep_last > 1 or self.seconds_since_write >= interval_s
        if is_asked and is_due:
            yield from self.write(snapshot)
            return
        spare = None if self._held is self._held_best else self._held
        self._held = snapshot.frozen(spare)
        if snapshot.is_best:
            self._held_best = self._held

    def write(self, snapshot: Snapshot) -> Iterator[Checkpoint]:
        """Writes a state at once, and before it the best one if that was only held."""
        held, best = self._held, self._held_best
        self._held = self._held_best = None
        if held is not None and held.step == snapshot.step:
            # the same state a moment later: what the epoch's end told of it stays true
            snapshot = replace(snapshot, is_best=held.is_best, monitor_value=held.monitor_value)
        if best is not None and best.step < snapshot.step and not snapshot.is_best:
            yield self._write(best)
        if snapshot.step != self._written_step:
            yield self._write(snapshot)

    def flush(self) -> Iterator[Checkpoint]:
        """Writes what is only held."""
        if self._held is not None:
            yield from self.write(self._held)

    def _write(self, snapshot: Snapshot) -> Checkpoint:
        began = time.monotonic()
        checkpoint = write_snapshot(snapshot, self._folder)
        self._written_step, self._last_write = snapshot.step, time.monotonic()
        self._interval_s = max(_LEAST_INTERVAL_S, _INTERVAL_PER_WRITE * (self._last_write - began))
        self._within_s *= 1.0 if snapshot.end_of_epoch else 2.0
        return checkpoint
