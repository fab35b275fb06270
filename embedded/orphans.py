"""Processes that our children left behind: the kernel hands them to us, and we end them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """Makes the kernel hand us the children of children that die (Linux; elsewhere they go to init)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> set[int]:
    """Process ids of our direct children, adopted ones included; empty where the kernel does not tell."""
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found.update(int(pid) for pid in task.read_text().split())
    return found


def reap(spare: set[int]) -> None:
    """Lets go of adopted processes that have ended; those in `spare` belong to somebody who waits for them."""
    for pid in children() - spare:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def end(spare: set[int], patience_s: float) -> None:
    """Waits for adopted processes to end by themselves, then kills them, and theirs as they come to us."""
    deadline = time.monotonic() + patience_s
    while orphans := children() - spare:
        if time.monotonic() > deadline:
            for pid in orphans:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        reap(spare)
        time.sleep(0.01)
