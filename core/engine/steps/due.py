"""What the loop of a run hands over: steps to take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from core.engine.assembly import Assembly
from core.engine.rows import Batch, Taken
from core.events import Event


@dataclass(slots=True)
class Due:
    """Steps in a row that a run has come to, nothing to be asked or told between them: one with each of `lrs`."""

    a: Assembly
    rows: Taken
    """Those of the window that the steps belong to."""
    lrs: Sequence[float]

    def take(self) -> None:
        """Takes them, this run alone."""
        self.a.solo.take(self.batches(), self.lrs, self.a.step)
        self.a.step += len(self.lrs)

    def batches(self) -> list[Batch]:
        """One for each step."""
        return self.rows.batches(self.a.step_in_epoch, len(self.lrs))

    def edges(self) -> list[int]:
        """Where the batches begin among the rows of the window, and where the last one ends."""
        return self.rows.edges(self.a.step_in_epoch, len(self.lrs))

    def numbers(self) -> Tensor:
        """The numbers of the rows that the batches are made of."""
        return self.rows.numbers(self.a.step_in_epoch, len(self.lrs))


Story = Iterator[Event | Due]
"""A run as its loop tells it: what happens, and the steps to take before it is asked to go on."""


def alone(story: Story) -> Iterator[Event]:
    """The events of a run that takes its steps by itself."""
    for each in story:
        if isinstance(each, Due):
            each.take()
        else:
            yield each
