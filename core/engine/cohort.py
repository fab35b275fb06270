"""Several runs in one process, each as if it were alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core.engine.assembly import Assembly
from core.engine.faults import internal, last_word
from core.engine.run import Run, ShouldStop, story, train
from core.engine.steps.due import Due
from core.engine.steps.together import Together, goes_together
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

    Steps that several have come to are computed at once where their networks are alike. A member that has ended leaves
    and the others go on. Whatever one member raises is its own last event, Failed; but for a disk that is full or
    broken, which raises OSError for them all.
    """
    together = Together()
    playing = {place: _Turns(member, len(members)) for place, member in enumerate(members)}
    while playing:
        dues: list[Due] = []
        for place, turns in tuple(playing.items()):
            while not isinstance(told := turns.next(), Due):
                yield place, told
                if isinstance(told, LAST):
                    # its memory is the others' from here on
                    del playing[place]
                    together.forget(turns.a)
                    break
            else:
                dues.append(told)
        together.take(dues)


class _Turns:
    """One member's story between its turns; while it tells, the process is as if it were alone in it.

    The number of threads belongs to the process, and so do the generators that some layers draw from: they are put back
    as the member left them.
    """

    def __init__(self, member: Member, company: int) -> None:
        run = replace(member.run, company=company)
        # where others are fitted beside it, it tells of them too and takes its steps by itself
        tell = train if run.spec.baselines else story
        self._story: Iterator[Event | Due] = tell(run, member.should_stop, member.next_change)
        self._has_company = company > 1
        self._streams: list[Tensor] = []
        self._threads: int | None = None
        self.a: Assembly | None = None
        """The training under way, once it has come to a step."""

    def next(self) -> Event | Due:
        """What happens next, or steps that can be taken together with others'; other steps are taken here."""
        if self._threads is not None:
            _put_back(self._streams, self._threads)
        try:
            while isinstance(told := next(self._story, None), Due):
                self.a = told.a
                if self._has_company and goes_together(told):
                    break
                told.take()
            return told or internal("the run ended without a last event")
        except Exception as fault:  # noqa: BLE001  # what one member meets must not reach the others
            return last_word(fault)
        finally:
            draws = self.a is None or self.a.path == "autograd"
            self._streams, self._threads = _random_states() if draws else [], torch.get_num_threads()


def _random_states() -> list[Tensor]:
    gpu = [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    return [torch.get_rng_state(), *gpu]


def _put_back(streams: list[Tensor], threads: int) -> None:
    if streams:
        torch.set_rng_state(streams[0])
    for state in streams[1:]:
        torch.cuda.set_rng_state(state)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
