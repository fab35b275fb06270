"""The few things that the standard library does not say about Linux processes."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import signal
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


# a private mapping of a file that is not writable
_CLEAN_FILE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ \S+ [1-9]\d* +/")
_MADV_DONTNEED = 4


def die_with_parent(parent_pid: int) -> None:
    """From here on the kernel kills this process when its parent dies, however that dies.

    The signal is bound to the parent's THREAD that made this process, so that thread must live as
    long as the parent means to. A parent that was gone before the call ends this process at once.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)


def set_name(name: str) -> None:
    """What `ps` and `top` show for this process, at most 15 bytes."""
    if sys.platform == "linux":
        _prctl(_PR_SET_NAME, ctypes.create_string_buffer(name.encode()[:15]))


def _prctl(option: int, argument: object) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0)


def close_all_but(keep: Collection[int]) -> None:
    """Closes every file of this process except these; a forked child must not hold its siblings' pipes open."""
    low = 0
    for number in [*sorted(keep), os.sysconf("SC_OPEN_MAX")]:
        os.closerange(low, number)
        low = number + 1


def widen_pipe(pipe: int, size: int) -> None:
    """Lets the pipe hold so many bytes that nobody has read; where that is not allowed it stays as it is."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, size)


def boot_time() -> float:
    """Seconds on a clock that never jumps and goes on while the machine sleeps; leases are judged by it."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def thread_names() -> list[str]:
    """The name of every thread the kernel knows in this process, those that Python never saw among them."""
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        return ["main"]
    return [(task / "comm").read_text().strip() for task in tasks.iterdir()]


def address_space() -> int:
    """Bytes of address space that this process has mapped; 0 where the kernel does not say."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[0]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def forget_clean_files() -> None:
    """Unmaps the resident pages of libraries that are as they are on disk; each comes back at its next use.

    A library's start touches pages by the hundred MB that nothing needs again. A mapping with one page of its own
    (relocations) is left alone: that page would be lost.
    """
    try:
        text = Path("/proc/self/smaps").read_text()
    except OSError:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for mapping in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", text)[1:]:
        clean = _CLEAN_FILE.match(mapping)
        if (
            clean
            and re.search(r"(?m)^Anonymous: +0 kB$", mapping)
            and re.search(r"(?m)^Private_Dirty: +0 kB$", mapping)
        ):
            start, end = (int(edge, 16) for edge in clean.groups())
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def kill_group(pid: int) -> None:
    """SIGKILL for the process and the group it leads; one that is gone is no error."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
