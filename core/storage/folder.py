"""Blobs as files in a folder that every API process and worker sees.

Each put that writes makes a file under a name that no other blob ever had, and the row in `blobs` says which is
the one. So a file is deleted after the commit that deleted its row, and a put of the same content at that moment, which
has made another file, loses nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from core.db.session import Sessions, reading, transaction
from core.db.tables import Blob
from core.errors import NotFound
from core.storage import rows
from core.storage.reading import checked, write_whole
from core.storage.store import CorruptBlob, Stored

_FILES_AT_ONCE = 20_000
_FILES_A_QUERY = 500


class FolderStore:
    """Blobs as files under `root`, which must be the same folder for everybody who shares the database."""

    def __init__(self, sessions: Sessions, root: Path) -> None:
        self._sessions = sessions
        self._root = root
        self._go_on_at = ""

    def put(self, session: Session, source: Path | bytes, sha256: str | None = None) -> Stored:
        return self._put(session, source, sha256, loose=False)

    def _put(self, session: Session, source: Path | bytes, sha256: str | None, *, loose: bool) -> Stored:
        sha256 = sha256 or rows.sha256_of(source)
        while True:
            size = rows.touch(session, sha256, loose=loose)
            if size is not None:
                return Stored(sha256, size)
            if (before := rows.begin(session, sha256, loose=loose)) is not None:
                return self._write(session, source, sha256, before)

    def put_many(self, session: Session, sources: Mapping[str, Path]) -> dict[str, int]:
        return {sha256: self.put(session, sources[sha256], sha256).size for sha256 in sorted(sources)}

    def _write(self, session: Session, source: Path | bytes, sha256: str, before: str) -> Stored:
        location = f"{sha256[:2]}/{sha256}.{uuid4().hex}"
        path = self._root / location
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0

        def seen() -> Iterator[bytes]:
            nonlocal size
            for piece in rows.pieces(source):
                digest.update(piece)
                size += len(piece)
                yield piece

        write_whole(path, seen(), durable=True)
        _after(session, "after_rollback", lambda: path.unlink(missing_ok=True))
        if digest.hexdigest() != sha256:
            raise CorruptBlob(sha256)
        rows.complete(session, sha256, size=size, location=location, chunk_bytes=0)
        if before:
            _after(session, "after_commit", lambda: (self._root / before).unlink(missing_ok=True))
        return Stored(sha256, size)

    def stage(self, source: Path, sha256: str | None = None) -> Stored:
        with transaction(self._sessions) as session:
            return self._put(session, source, sha256, loose=True)

    def open_range(self, sha256: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        with reading(self._sessions) as session:
            blob = session.get(Blob, sha256)
        if blob is None or not blob.complete:
            raise NotFound(f"no blob {sha256}")
        stop = blob.bytes if end is None else min(end, blob.bytes)
        pieces = self._read(sha256, self._root / blob.location, start, stop)
        return checked(sha256, pieces) if (start, stop) == (0, blob.bytes) else pieces

    def _read(self, sha256: str, path: Path, start: int, stop: int) -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                file.seek(start)
                position = start
                while position < stop:
                    piece = file.read(min(rows.PIECE_BYTES, stop - position))
                    if not piece:
                        raise CorruptBlob(sha256)
                    yield piece
                    position += len(piece)
        except FileNotFoundError:
            raise CorruptBlob(sha256) from None

    def read_to(self, sha256: str, target: Path) -> None:
        write_whole(target, self.open_range(sha256))

    def release(self, session: Session, shas: Iterable[str]) -> None:
        self._delete(session, shas)

    def _delete(self, session: Session, shas: Iterable[str]) -> int:
        gone = rows.delete_unreferenced(session, shas)
        paths = [self._root / blob.location for blob in gone if blob.location]

        def unlink() -> None:
            for path in paths:
                path.unlink(missing_ok=True)

        _after(session, "after_commit", unlink)
        return len(gone)

    def collect(self, older_than_s: float = 3600.0) -> int:
        with reading(self._sessions) as session:
            found = rows.garbage(session, older_than_s)
        with transaction(self._sessions) as session:
            gone = self._delete(session, found)
        return gone + self._collect_files(older_than_s)

    def _collect_files(self, older_than_s: float) -> int:
        """Deletes old files that no row names: a process that died between file and commit left them.

        Of a folder with very many files each call looks at a part, and the next one goes on there.
        """
        before, looked, removed = time.time() - older_than_s, 0, 0
        # those from where the last call stopped on, then the others
        folders = sorted(self._root.glob("??"), key=lambda folder: (folder.name < self._go_on_at, folder.name))
        for folder in folders:
            if looked >= _FILES_AT_ONCE:
                self._go_on_at = folder.name
                return removed
            old = [path for path in folder.iterdir() if path.stat().st_mtime < before]
            for start in range(0, len(old), _FILES_A_QUERY):
                removed += self._remove_unnamed(old[start : start + _FILES_A_QUERY])
            looked += len(old)
        self._go_on_at = ""
        return removed

    def _remove_unnamed(self, paths: Sequence[Path]) -> int:
        """Deletes those of the files that no row names; how many."""
        # found by the blob's primary key, which a file's name begins with
        shas = {path.name.partition(".")[0] for path in paths}
        with reading(self._sessions) as session:
            named = set(session.scalars(select(Blob.location).where(Blob.sha256.in_(shas))))
        lost = [path for path in paths if str(path.relative_to(self._root)) not in named]
        for path in lost:
            path.unlink(missing_ok=True)
        return len(lost)


def _after(session: Session, moment: str, action: Callable[[], object]) -> None:
    """Does `action` once, when the session's transaction has ended that way."""

    def once(_session: Session) -> None:
        action()

    event.listen(session, moment, once, once=True)
