"""A runner's events on their way to the database."""

from __future__ import annotations

from pathlib import Path

from core.events import Checkpoint, Event, Progress


class Batch:
    """Collects events in order; which of its checkpoints are worth storing is decided where they are recorded."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @property
    def last(self) -> Event | None:
        return self.events[-1] if self.events else None

    def add(self, event: Event) -> None:
        # only where the run stands now is shown
        if isinstance(event, Progress):
            self.events = [other for other in self.events if not isinstance(other, Progress)]
        self.events.append(event)

    def has(self, kind: type[Event]) -> bool:
        """True when an event of this kind waits."""
        return any(isinstance(event, kind) for event in self.events)

    def take(self) -> tuple[list[Event], list[Path]]:
        """The events, and the files of their checkpoints, for deletion after the commit; empties the batch."""
        events, self.events = self.events, []
        checkpoints = [event for event in events if isinstance(event, Checkpoint)]
        return events, [Path(path) for event in checkpoints for path in (event.content_path, event.state_path)]
