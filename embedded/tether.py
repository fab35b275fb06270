"""Replaces itself by another program that ends when the process that started it ends.

`python -I -S tether.py PARENT_PID PROGRAM [ARGUMENT...]`. It is a program of its own and not a `preexec_fn`, because
Python code between fork and exec can deadlock; standard library only, since it runs before every child.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Never returns: the program, or exit status 127 when the parent has gone already."""
    parent, program = int(arguments[0]), arguments[1]
    if sys.platform == "linux":
        # SIGKILL: when the keeper was killed nobody is left to wait for a slow farewell. It survives execve.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # the parent may have died before the line above took effect, and then no signal will ever come
    if os.getppid() != parent:
        raise SystemExit(127)
    os.execvp(program, arguments[1:])  # noqa: S606  # that is what this file is for


if __name__ == "__main__":
    main(sys.argv[1:])
