"""Blobs in the database, in chunks: nothing to set up, one thing to back up, one transaction with their rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from core.db.session import Sessions, reading, transaction
from core.db.tables import Blob, BlobChunk
from core.errors import NotFound
from core.storage import rows
from core.storage.reading import checked, write_whole
from core.storage.store import CorruptBlob, Stored

LOCATION = "database"
# chunks of one staging transaction: 8 MiB, for which SQLite's one writer is held some 30 ms
_STAGED_AT_ONCE = 16
# small blobs that are held in memory while they are put: 32 MiB at most
_PUT_AT_ONCE = 64


def _small(source: Path | bytes) -> bytes | None:
    """The content where one chunk holds it; None for a larger one, or a file that is gone since it was staged."""
    if isinstance(source, bytes):
        return source if len(source) <= rows.PIECE_BYTES else None
    if not source.exists() or source.stat().st_size > rows.PIECE_BYTES:
        return None
    return source.read_bytes()


class DatabaseStore:
    """Blobs in the table `blob_chunks`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def put(self, session: Session, source: Path | bytes, sha256: str | None = None) -> Stored:
        content = _small(source)
        if content is not None:
            sha256 = sha256 or rows.sha256_of(content)
            if self._put_new(session, {sha256: content}):
                return Stored(sha256, len(content))
        sha256 = sha256 or rows.sha256_of(source)
        while True:
            size = rows.touch(session, sha256, loose=False)
            if size is not None:
                return Stored(sha256, size)
            if rows.begin(session, sha256, loose=False) is not None:
                session.execute(delete(BlobChunk).where(BlobChunk.sha256 == sha256))
                return self._write(session, source, sha256)

    def put_many(self, session: Session, sources: Mapping[str, Path]) -> dict[str, int]:
        """Small new blobs, which are nearly all, in two statements for some dozens; those that are there in one."""
        order, sizes = sorted(sources), dict[str, int]()
        for start in range(0, len(order), _PUT_AT_ONCE):
            some = order[start : start + _PUT_AT_ONCE]
            contents = {sha256: content for sha256 in some if (content := _small(sources[sha256])) is not None}
            for sha256 in self._put_new(session, contents):
                sizes[sha256] = len(contents[sha256])
        if others := sources.keys() - sizes.keys():
            sizes |= rows.touch_many(session, others)
        return {
            sha256: sizes[sha256] if sha256 in sizes else self.put(session, sources[sha256], sha256).size
            for sha256 in order
        }

    def _put_new(self, session: Session, contents: Mapping[str, bytes]) -> set[str]:
        """Contents of one chunk by their sha256, written at once where there is no row of them yet: those that were."""
        for sha256, content in contents.items():
            if rows.sha256_of(content) != sha256:
                raise CorruptBlob(sha256)
        sizes = {sha256: len(content) for sha256, content in contents.items()}
        new = rows.insert_complete(session, sizes, location=LOCATION, chunk_bytes=rows.PIECE_BYTES)
        # an empty blob has no chunk
        if chunks := [
            {"sha256": each, "n": 0, "data": contents[each]} for each in contents if each in new and sizes[each]
        ]:
            session.execute(insert(BlobChunk), chunks)
        return new

    def _write(self, session: Session, source: Path | bytes, sha256: str) -> Stored:
        digest, size = hashlib.sha256(), 0
        for n, piece in enumerate(rows.pieces(source)):
            digest.update(piece)
            size += len(piece)
            session.execute(insert(BlobChunk), [{"sha256": sha256, "n": n, "data": piece}])
        if digest.hexdigest() != sha256:
            raise CorruptBlob(sha256)
        rows.complete(session, sha256, size=size, location=LOCATION, chunk_bytes=rows.PIECE_BYTES)
        return Stored(sha256, size)

    def stage(self, source: Path, sha256: str | None = None) -> Stored:
        sha256 = sha256 or rows.sha256_of(source)
        with transaction(self._sessions) as session:
            size = rows.touch(session, sha256, loose=True)
        if size is not None:
            return Stored(sha256, size)
        digest, size = hashlib.sha256(), 0
        numbered = enumerate(rows.pieces(source))
        while batch := list(islice(numbered, _STAGED_AT_ONCE)):
            self._write_batch(sha256, batch)
            for _, piece in batch:
                digest.update(piece)
                size += len(piece)
        if digest.hexdigest() != sha256:
            raise CorruptBlob(sha256)
        with transaction(self._sessions) as session:
            if rows.begin(session, sha256, loose=True) is not None:
                rows.complete(session, sha256, size=size, location=LOCATION, chunk_bytes=rows.PIECE_BYTES)
        return Stored(sha256, size)

    def _write_batch(self, sha256: str, batch: list[tuple[int, bytes]]) -> None:
        """Some chunks of a blob that is not complete yet, in a transaction of their own."""
        with transaction(self._sessions) as session:
            if rows.begin(session, sha256, loose=True) is None:
                return  # somebody else has completed it meanwhile
            numbers = [n for n, _ in batch]
            session.execute(delete(BlobChunk).where(BlobChunk.sha256 == sha256, BlobChunk.n.in_(numbers)))
            session.execute(insert(BlobChunk), [{"sha256": sha256, "n": n, "data": piece} for n, piece in batch])

    def open_range(self, sha256: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        with reading(self._sessions) as session:
            blob = session.get(Blob, sha256)
        if blob is None or not blob.complete:
            raise NotFound(f"no blob {sha256}")
        stop = blob.bytes if end is None else min(end, blob.bytes)
        pieces = self._read(sha256, start, stop, blob.chunk_bytes)
        return checked(sha256, pieces) if (start, stop) == (0, blob.bytes) else pieces

    def _read(self, sha256: str, start: int, stop: int, chunk_bytes: int) -> Iterator[bytes]:
        position = start
        while position < stop:
            n = position // chunk_bytes
            with reading(self._sessions) as session:
                data = session.scalar(select(BlobChunk.data).where(BlobChunk.sha256 == sha256, BlobChunk.n == n))
            piece = (data or b"")[position - n * chunk_bytes : stop - n * chunk_bytes]
            if not piece:
                raise CorruptBlob(sha256)
            yield piece
            position += len(piece)

    def read_to(self, sha256: str, target: Path) -> None:
        write_whole(target, self.open_range(sha256))

    def release(self, session: Session, shas: Iterable[str]) -> None:
        rows.delete_unreferenced(session, shas)

    def collect(self, older_than_s: float = 3600.0) -> int:
        with reading(self._sessions) as session:
            found = rows.garbage(session, older_than_s)
        with transaction(self._sessions) as session:
            return len(rows.delete_unreferenced(session, found))
