"""One owner of a data folder at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "owner.lock"


class FolderInUse(Exception):
    """Another live process owns the folder; `pid` is its process id, None while it has not written it yet."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"the folder {folder} is in use by {who}, which runs Netmill on it; "
            f"stop that one{f' (kill {pid})' if pid else ''}, or choose another folder with --data-dir"
        )
        self.folder = folder
        self.pid = pid


@contextmanager
def own(folder: Path) -> Iterator[None]:
    """The folder, owned as long as the block runs; raises FolderInUse when somebody else has it.

    The kernel drops an flock when its process ends however it ends, so no stale lock can be left. The file stays:
    removing it would let a third process lock a new file while the second holds the old one.
    """
    # never inherited: a child that outlives us must not keep the folder
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FolderInUse(folder, _pid_in(descriptor)) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _pid_in(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdigit() else None
