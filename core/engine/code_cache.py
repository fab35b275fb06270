"""The folder of machine code that runs leave for later ones, within its bytes. Standard library only: the worker, which
knows no torch, makes the room.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = "in-use.lock"
_MAPS = Path("/proc/self/maps")


@contextmanager
def using(folder: Path) -> Iterator[None]:
    """Nothing of the folder is deleted while the block runs, in any process; code that it loaded counts as used now.

    What is loaded stays: a file that a process maps may be deleted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield
        for path in _loaded(folder):
            for file in path.parent.glob(f"{path.stem}.*"):
                os.utime(file)


def make_room(folder: Path, max_bytes: int) -> int:
    """Deletes the least recently used files until the others have `max_bytes` at most; the bytes that went.

    Where somebody is using the folder nothing is deleted: another time will do.
    """
    if not (folder / _LOCK).exists():
        return 0
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        # locks of the compiler are empty
        files = [(path.stat(), path) for path in folder.rglob("*") if path.is_file()]
        excess = total = sum(status.st_size for status, _ in files) - max_bytes
        for status, path in sorted(files, key=lambda each: each[0].st_mtime):
            if excess <= 0:
                break
            if status.st_size:
                path.unlink()
                excess -= status.st_size
        return max(0, total - excess)


def _loaded(folder: Path) -> set[Path]:
    """Libraries of the folder that this process has mapped."""
    if not _MAPS.exists():
        return set()
    paths = (line.split(maxsplit=5)[5:] for line in _MAPS.read_text().splitlines())
    return {Path(path) for (path,) in filter(None, paths) if path.endswith(".so") and Path(path).is_relative_to(folder)}
