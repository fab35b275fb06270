"""What the loop of a run hands over: steps to take, windows to close, parts of the data to evaluate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from core.engine.assembly import Assembly
from core.engine.rows import Batch, Rows, Taken
from core.events import Event


class Due(ABC):
    """Work that a run has come to and that may be done at once with that of others."""

    a: Assembly

    @abstractmethod
    def take(self) -> None:
        """Does it for this run alone."""


@dataclass(slots=True)
class Steps(Due):
    """Steps in a row, nothing to be asked or told between them: one with each of `lrs`."""

    a: Assembly
    rows: Taken
    """Those of the window that the steps belong to."""
    lrs: Sequence[float]

    def take(self) -> None:
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


@dataclass(slots=True)
class Closing(Due):
    """The end of a window, whose figures join those of the epoch."""

    a: Assembly
    rows: Taken

    def take(self) -> None:
        self.a.tally.close_window(*self.rows.answers())


@dataclass(slots=True)
class Evaluation(Due):
    """Loss and metrics of a part of the data, which stand in `values` afterwards."""

    a: Assembly
    rows: Rows
    split: str
    values: dict[str, float] = field(default_factory=dict)

    def take(self) -> None:
        self.values = self.a.evaluate(self.rows, self.split)


Story = Iterator[Event | Due]
"""A run as its loop tells it: what happens, and the work to be done before it is asked to go on."""


def alone(story: Story) -> Iterator[Event]:
    """The events of a run that takes its steps by itself."""
    for each in story:
        if isinstance(each, Due):
            each.take()
        else:
            yield each
