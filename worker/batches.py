"""A runner's events on their way to the database."""

from __future__ import annotations

from pathlib import Path

from core.events import Checkpoint, Progress, Told

# one transaction's worth: more would hold SQLite's one writer, and the runner's pipe, for longer than a blink
_FULL = 10_000


class Batch:
    """Collects events in order; which of its checkpoints are worth storing is decided where they are recorded."""

    def __init__(self) -> None:
        self.events: list[Told] = []
        self._kinds: set[type] = set()
        self._progress_at = -1

    @property
    def last(self) -> Told | None:
        return self.events[-1] if self.events else None

    @property
    def is_full(self) -> bool:
        """True when it should be recorded whatever the time."""
        return len(self.events) >= _FULL

    def add(self, event: Told) -> None:
        # only where the run stands now is shown
        if isinstance(event, Progress):
            if self._progress_at >= 0:
                del self.events[self._progress_at]
            self._progress_at = len(self.events)
        self.events.append(event)
        self._kinds.add(type(event))

    def has(self, kind: type) -> bool:
        """True when an event of this kind waits; a row is a str."""
        return kind in self._kinds

    def take(self) -> tuple[list[Told], list[Path]]:
        """The events, and the files of their checkpoints, for deletion after the commit; empties the batch."""
        events, self.events = self.events, []
        self._kinds.clear()
        self._progress_at = -1
        checkpoints = [event for event in events if isinstance(event, Checkpoint)]
        return events, [Path(path) for event in checkpoints for path in (event.content_path, event.state_path)]
