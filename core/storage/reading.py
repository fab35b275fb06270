"""Reading with the sha256 checked, the same for every place."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from core.storage.store import CorruptBlob


def checked(sha256: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces; after the last raises CorruptBlob when together they do not have the sha256."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != sha256:
        raise CorruptBlob(sha256)


def write_whole(target: Path, pieces: Iterator[bytes], *, durable: bool = False) -> None:
    """A file that appears under its name when all of it is written, or not at all."""
    part = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        with part.open("xb") as file:
            for piece in pieces:
                file.write(piece)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        part.replace(target)
        if durable:
            _sync_folder(target.parent)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def _sync_folder(folder: Path) -> None:
    """Makes the names in the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
