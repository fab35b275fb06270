"""Who this worker is: a name that it keeps over a restart, so that it finds again what it held when it died."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

_MOST = 10_000


@dataclass(slots=True)
class Identity:
    """A name and the folder that goes with it, both ours for as long as the lock file is open."""

    name: str
    folder: Path
    _lock: int

    def release(self) -> None:
        """Lets another process take the name."""
        os.close(self._lock)


def take(data_dir: Path, name: str | None = None) -> Identity:
    """The given name, or the first free one of `<host>-1`, `<host>-2`, … with a word of this data folder's own.

    A lock held by a process is given back by the kernel when it dies, so the worker started in its
    stead gets the same name. Raises RuntimeError when the given name is another living worker's.
    """
    workers = data_dir.resolve() / "workers"
    workers.mkdir(parents=True, exist_ok=True)
    wanted = [name] if name else [f"{socket.gethostname()}-{number}" for number in range(1, _MOST)]
    for candidate in wanted:
        lock = os.open(workers / f"{_file_name(candidate)}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        folder = workers / _file_name(candidate)
        for leftover in ("runs", "tmp", "answers"):
            shutil.rmtree(folder / leftover, ignore_errors=True)
            (folder / leftover).mkdir(parents=True)
        return Identity(name or f"{candidate}-{_own_word(lock)}", folder, lock)
    raise RuntimeError(f"the worker name {wanted[0]!r} is taken by a living worker in {workers}")


def _own_word(lock: int) -> str:
    """What the lock file holds, random from its first day on.

    Two machines may call themselves the same, and each of their workers would free what the other is training.
    """
    word = os.pread(lock, 16, 0).decode("ascii")
    if not word:
        word = secrets.token_hex(3)
        os.pwrite(lock, word.encode(), 0)
    return word


def _file_name(name: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in name)
