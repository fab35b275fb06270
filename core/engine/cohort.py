"""Several runs in one process, each as if it were alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.engine.faults import internal, last_word
from core.engine.run import Run, ShouldStop, train
from core.engine.timeline import NextChange, no_change
from core.events import LAST, Event


@dataclass(frozen=True, slots=True)
class Member:
    """A run of a cohort, and what it alone is asked: whether it is to stop, and what changes while it lives."""

    run: Run
    should_stop: ShouldStop
    next_change: NextChange = no_change


def train_together(members: Sequence[Member]) -> Iterator[tuple[int, Event]]:
    """(place of a member, event) as they happen; the events of one member are those that `train` alone would yield.

    A member that has ended leaves and the others go on. Whatever one member raises is its own last event, Failed; but
    for a disk that is full or broken, which raises OSError for them all.
    """
    playing = {place: _Turns(member) for place, member in enumerate(members)}
    while playing:
        for place, turns in tuple(playing.items()):
            event = turns.next()
            if isinstance(event, LAST):
                # its memory is the others' from here on
                del playing[place]
            yield place, event


class _Turns:
    """One member's training between its turns: from event to event it has the process to itself.

    Random streams and the number of threads belong to the process; they are put back as the member left them.
    """

    def __init__(self, member: Member) -> None:
        self._events = train(member.run, member.should_stop, member.next_change)
        self._left: tuple[list[Tensor], int] | None = None

    def next(self) -> Event:
        if self._left is not None:
            _put_back(*self._left)
        try:
            return next(self._events, None) or internal("the run ended without a last event")
        except Exception as fault:  # noqa: BLE001  # what one member meets must not reach the others
            return last_word(fault)
        finally:
            self._left = _random_states(), torch.get_num_threads()


def _random_states() -> list[Tensor]:
    gpu = [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    return [torch.get_rng_state(), *gpu]


def _put_back(states: list[Tensor], threads: int) -> None:
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state)
    torch.set_num_threads(threads)
