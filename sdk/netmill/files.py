"""Files that travel: uploads as streams, downloads that are whole or not there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from netmill.errors import IntegrityError

FORMATS = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npz": "npz",
    ".npy": "npy",
    ".root": "root",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
}
"""Upload formats by the suffixes of files' names."""

CHUNK_BYTES = 256 * 1024
# bytes so far, bytes in all
OnBytes = Callable[[int, int], None]


def format_of(path: Path) -> str:
    """The upload format that a file's name tells, `.gz` taken off; raises ValueError for a name that tells none."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    if not suffixes or suffixes[-1] not in FORMATS:
        known = ", ".join(sorted(set(FORMATS.values())))
        raise ValueError(f"the format of {path.name} cannot be told from its name; give one of {known}")
    return FORMATS[suffixes[-1]]


def stem_of(path: Path) -> str:
    """The file's name without `.gz` and without the format."""
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return Path(name).stem


def chunks_of(path: Path, on_bytes: OnBytes | None) -> Iterator[bytes]:
    """The file in pieces, telling how far it is."""
    total, sent = path.stat().st_size, 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
            sent += len(chunk)
            if on_bytes:
                on_bytes(sent, total)


def save(response: httpx.Response, path: Path, sha256: str | None = None) -> Path:
    """Writes an answer's body to the path, all or nothing; raises IntegrityError when it has another sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    try:
        with temporary.open("wb") as file:
            for chunk in response.iter_bytes(CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
        if sha256 is not None and digest.hexdigest() != sha256:
            raise IntegrityError(f"{path.name} arrived with sha256 {digest.hexdigest()}, the service stored {sha256}")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
