"""Which live change takes effect before which step, so that a run that is resumed makes it at the same one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from core.changes import Change, with_fields
from core.spec.job import JobSpec

NextChange = Callable[[], Change | None]


def no_change() -> None:
    """Nobody changes this run while it lives."""


class Timeline:
    """The changes of a run in the order they were asked for.

    Those that a former attempt made have their step, and are made there again; the others wait for them and are made
    before the next step. `done` is the number of the last change that the state resumed from holds.
    """

    def __init__(self, changes: Sequence[Change], done: int = 0, ask: NextChange = no_change) -> None:
        self._done = tuple(change for change in changes if change.number <= done)
        self._waiting = deque(change for change in changes if change.number > done)
        self._ask = ask

    def due(self, step: int) -> Change | None:
        """The next change to make before the step with this index; ask again until there is none."""
        if not self._waiting:
            return self._ask()
        first = self._waiting[0].step
        return self._waiting.popleft() if first is None or first <= step else None

    def steps_before_next(self, step: int, most: int) -> int:
        """How many of `most` steps from the one with this index on may be taken before a change of a former attempt."""
        first = self._waiting[0].step if self._waiting else None
        return most if first is None else min(most, max(1, first - step))

    def before_resume(self, spec: JobSpec) -> JobSpec:
        """The spec as it was in force in the state that is resumed from."""
        for change in self._done:
            spec = changed_spec(spec, change)
        return spec


def changed_spec(spec: JobSpec, change: Change) -> JobSpec:
    """The resolved spec with the change in it."""
    return JobSpec.model_validate(with_fields(spec.model_dump(mode="json"), change.fields))
