"""Signals that ask the keeper to stop, noted and never lost between a look and a sleep."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass
class Stops:
    """How many stop signals have come, and a sleep that any signal ends early."""

    count: int = 0
    wake: int = -1

    def sleep(self, timeout_s: float) -> None:
        """Sleeps until a signal (a child's end is one) or the time is over."""
        if select.select([self.wake], [], [], timeout_s)[0]:
            with suppress(BlockingIOError):
                os.read(self.wake, 4096)


@contextmanager
def noted() -> Iterator[Stops]:
    """Inside the block SIGTERM, SIGINT and SIGHUP are counted instead of ending the process."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    stops = Stops(wake=reader)

    def stop(_number: int, _frame: object) -> None:
        stops.count += 1

    before_wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # SIGHUP stays ignored under nohup; the handler of SIGCHLD is needed for the wake-up alone
    wanted = [number for number in STOP if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in wanted}
    before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_wakeup)
        os.close(reader)
        os.close(writer)
