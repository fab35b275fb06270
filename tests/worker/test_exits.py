"""Real deaths of real processes, in words."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Callable

import pytest

from worker import exits


def status_of(action: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        faulthandler.disable()
        action()
        os._exit(99)
    return os.waitpid(pid, 0)[1]


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda: os._exit(3), "exited with code 3"),
        (lambda: os._exit(os.EX_IOERR), "disk may be full"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed (SIGKILL)"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "segmentation fault"),
        (lambda: os.kill(os.getpid(), signal.SIGBUS), "SIGBUS"),
        (lambda: os.kill(os.getpid(), signal.SIGUSR1), f"signal {signal.SIGUSR1.value}"),
    ],
)
def test_each_end_has_its_sentence(action: Callable[[], object], words: str) -> None:
    assert words in exits.explain(status_of(action), exits.oom_kills())


def test_a_kill_while_the_kernel_counted_one_for_memory_says_memory() -> None:
    assert "out of memory" in exits.explain(signal.SIGKILL, exits.oom_kills() - 1)


def test_no_status_means_the_fork_server_went_too() -> None:
    assert "fork server" in exits.explain(None, 0)
