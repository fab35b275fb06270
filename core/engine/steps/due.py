"""What the loop of a run hands over: steps to take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.engine.assembly import Assembly
from core.engine.rows import Batch
from core.events import Event


@dataclass(slots=True)
class Due:
    """Steps in a row that a run has come to, nothing to be asked or told between them: one a batch."""

    a: Assembly
    batches: Sequence[Batch]
    lrs: Sequence[float]

    def take(self) -> None:
        """Takes them, this run alone."""
        self.a.solo.take(self.batches, self.lrs, self.a.step)
        self.a.step += len(self.batches)


Story = Iterator[Event | Due]
"""A run as its loop tells it: what happens, and the steps to take before it is asked to go on."""


def alone(story: Story) -> Iterator[Event]:
    """The events of a run that takes its steps by itself."""
    for each in story:
        if isinstance(each, Due):
            each.take()
        else:
            yield each
