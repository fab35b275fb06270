"""What every place for blobs can do. One conformance test runs against all of them.

A blob is named by the sha256 of its content and stored once. Its row in `blobs` is the truth: a put inserts or locks
that row inside the caller's transaction, a release locks it before it looks for references, so a blob that a
transaction under way is about to refer to is never deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy.orm import Session

# From this size on a blob is staged before the transaction that refers to it, which is then short.
STAGE_FROM_BYTES = 4 * 1024 * 1024


class CorruptBlob(Exception):
    """The bytes are not those that the sha256 was taken of."""

    def __init__(self, sha256: str) -> None:
        super().__init__(f"content does not have the sha256 {sha256}")
        self.sha256 = sha256


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored."""

    sha256: str
    size: int


class BlobStore(Protocol):
    """A place for blobs."""

    def put(self, session: Session, source: Path | bytes, sha256: str | None = None) -> Stored:
        """Stores the content within the caller's transaction, which refers to it; free when it is there already.

        Raises CorruptBlob when `sha256` is given and the content has another one.
        """
        ...

    def put_many(self, session: Session, sources: Mapping[str, Path]) -> dict[str, int]:
        """As `put` for several files by their sha256; their lengths. Locks are taken in one order, so that two who put
        the same blobs wait for each other and never in a circle.
        """
        ...

    def stage(self, source: Path, sha256: str | None = None) -> Stored:
        """Stores a large file in short transactions of its own; without a reference it goes an hour later."""
        ...

    def open_range(self, sha256: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Bytes `start` to `end` (exclusive; None: to the last) in pieces; no connection is held between two pieces.

        Raises NotFound before the first piece; CorruptBlob after the last when a whole blob does not have its sha256.
        """
        ...

    def read_to(self, sha256: str, target: Path) -> None:
        """Writes the blob to `target`, which appears whole and checked or not at all. NotFound, CorruptBlob."""
        ...

    def release(self, session: Session, shas: Iterable[str]) -> None:
        """Deletes those of the blobs that nothing refers to any more, within the caller's transaction."""
        ...

    def collect(self, older_than_s: float = 3600.0) -> int:
        """Deletes what a crash left behind: blobs without a reference, put longer ago than that. Returns how many."""
        ...
