"""Starts the parts together, starts again what dies, ends them in order, and leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from embedded import orphans
from embedded.parts import Part, Running
from embedded.signals import Stops

# how often the keeper looks while it waits for readiness, and otherwise when no signal wakes it
STARTING_S = 0.02
IDLE_S = 1.0
# in this time orphans end by their own watchdogs before they are killed
ORPHANS_S = 1.0


class Keeper:
    """The supervisor of one data folder.

    It never gives up on a part: whatever is broken now, a full disk or a database that is away, may be well later.
    """

    def __init__(
        self, parts: Sequence[Part], folder: Path, stops: Stops, say: Callable[[str], None], *, echo: bool = False
    ) -> None:
        self.parts = [Running(part, folder, echo=echo) for part in parts]
        self._stops = stops
        self._say = say
        self._not_ours = orphans.children()

    def run(self, is_ready: Callable[[], bool], on_ready: Callable[[], None]) -> None:
        """Keeps the parts running; returns when a stop signal has come and every process is gone.

        Calls `on_ready` once, as soon as `is_ready` says so.
        """
        orphans.adopt()
        ready = False
        try:
            while not self._stops.count:
                self._start_due()
                if not ready and is_ready():
                    ready = True
                    on_ready()
                self._stops.sleep(self._pause(ready=ready))
                self._reap(ready=ready)
        finally:
            self._end()

    def _start_due(self) -> None:
        for running in self.parts:
            if running.pid is None and running.due <= time.monotonic():
                try:
                    running.start()
                except OSError as error:  # out of processes, memory or disk
                    running.due = time.monotonic() + IDLE_S
                    self._say(f"{running.part.name} cannot be started: {error}")

    def _pause(self, *, ready: bool) -> float:
        now = time.monotonic()
        waits = [running.due - now for running in self.parts if running.pid is None]
        return max(0.0, min([IDLE_S if ready else STARTING_S, *waits]))

    def _reap(self, *, ready: bool) -> None:
        for running in self.parts:
            if words := running.ended():
                self._say(words)
                # before the service was ever ready its user needs the reason, not the name of a file
                if not ready and (tail := running.last_words()):
                    self._say(tail)
        orphans.reap(self._not_ours | {running.pid for running in self.parts if running.pid})

    def _end(self) -> None:
        """Asks all parts to end, the `last` ones after the others; a second stop signal ends the asking."""
        for last in (False, True):
            group = [running for running in self.parts if running.part.last == last]
            asked = time.monotonic()
            for running in group:
                running.ask_to_end()
            for running in group:
                while self._stops.count < 2 and not running.gone_within(0):
                    if time.monotonic() - asked > running.part.grace_s:
                        self._say(f"{running.part.name} did not end within {running.part.grace_s:.0f} s and is killed")
                        break
                    self._stops.sleep(0.1)
                running.kill()
        orphans.end(self._not_ours, ORPHANS_S)
