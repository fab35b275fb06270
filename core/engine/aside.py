"""Long work beside which the caller goes on listening."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """`work` on a thread of its own from now on. What nobody waits for any more ends with the process."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._results: list[T] = []
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def is_done(self, within_s: float) -> bool:
        """Whether it has ended, waiting for that so long at most."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def result(self) -> T:
        """What the work came to, once it is done; raises what it raised."""
        self._thread.join()
        if self._fault is not None:
            raise self._fault
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as fault:  # noqa: BLE001  # it is raised where the result is asked for
            self._fault = fault
