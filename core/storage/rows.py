"""The rows of `blobs`, which every place for blobs shares: locks, references, garbage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, Select, delete, exists, select, update
from sqlalchemy.orm import Session

from core.db.session import now
from core.db.tables import Base, Blob, BlobChunk
from core.db.upsert import insert_new, insert_those_new

PIECE_BYTES = 512 * 1024


def pieces(source: Path | bytes) -> Iterator[bytes]:
    """The content in pieces of PIECE_BYTES; only the last is shorter."""
    if isinstance(source, bytes):
        for start in range(0, len(source), PIECE_BYTES):
            yield source[start : start + PIECE_BYTES]
        return
    with source.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def sha256_of(source: Path | bytes) -> str:
    """The sha256 of the content as 64 hex digits."""
    digest = hashlib.sha256()
    for piece in pieces(source):
        digest.update(piece)
    return digest.hexdigest()


def touch(session: Session, sha256: str, *, loose: bool) -> int | None:
    """Locks the blob's row until the transaction ends; its length, or None when there is none that is complete.

    Not `loose`: the transaction refers to it, so that it need not be looked at as garbage any more.
    """
    return session.execute(
        update(Blob)
        .where(Blob.sha256 == sha256, Blob.complete)
        .values(touched_at=now(session), **({} if loose else {"loose": False}))
        .returning(Blob.bytes)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()


def touch_many(session: Session, shas: Iterable[str]) -> dict[str, int]:
    """As `touch`, not loose, for several, locked in one order; the lengths of those that are complete."""
    these = select(Blob.sha256).where(Blob.sha256.in_(sorted(shas)), Blob.complete).order_by(Blob.sha256)
    locked = these.with_for_update().cte("locked")
    touched = (
        update(Blob)
        .where(Blob.sha256.in_(select(locked.c.sha256)))
        .values(touched_at=now(session), loose=False)
        .returning(Blob.sha256, Blob.bytes)
        .execution_options(synchronize_session=False)
    )
    return {row.sha256: row.bytes for row in session.execute(touched)}


def begin(session: Session, sha256: str, *, loose: bool) -> str | None:
    """Locks an incomplete row, a new one if need be; its location, or None when it is complete by now or gone.

    Not `loose`: the transaction refers to it.
    """
    row = {
        "sha256": sha256,
        "bytes": 0,
        "location": "",
        "chunk_bytes": 0,
        "complete": False,
        "touched_at": now(session),
        "loose": loose,
    }
    insert_new(session, Blob, row)
    return session.execute(
        update(Blob)
        .where(Blob.sha256 == sha256, Blob.complete.is_(False))
        .values(touched_at=now(session), **({} if loose else {"loose": False}))
        .returning(Blob.location)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()


def insert_complete(session: Session, sizes: Mapping[str, int], *, location: str, chunk_bytes: int) -> set[str]:
    """Inserts a complete row for each of these blobs of which there is none, and to which the transaction refers; those
    that are new, locked.
    """
    common = {"location": location, "chunk_bytes": chunk_bytes, "complete": True, "loose": False}
    common |= {"touched_at": now(session)}
    return insert_those_new(session, Blob, [{"sha256": each, "bytes": sizes[each], **common} for each in sorted(sizes)])


def complete(session: Session, sha256: str, *, size: int, location: str, chunk_bytes: int) -> None:
    """Makes the blob one that can be read and need not be put again."""
    done = {"bytes": size, "location": location, "chunk_bytes": chunk_bytes, "complete": True}
    session.execute(update(Blob).where(Blob.sha256 == sha256).values(done))


def mark_damaged(session: Session, sha256: str) -> None:
    """Notes that the blob was read with another sha256: the next put of the content writes it anew."""
    session.execute(update(Blob).where(Blob.sha256 == sha256).values(complete=False))


def delete_unreferenced(session: Session, shas: Iterable[str]) -> list[Blob]:
    """Deletes the rows of those blobs that nothing refers to; returns them.

    The lock comes first and the look for references in a statement of its own, which therefore sees what a
    transaction that held the lock before has committed. Locks are taken in one order, so two releases cannot deadlock.
    """
    wanted = sorted(set(shas))
    if not wanted:
        return []
    locked = session.scalars(select(Blob.sha256).where(Blob.sha256.in_(wanted)).order_by(Blob.sha256).with_for_update())
    mine = locked.all()
    statement = delete(Blob).where(Blob.sha256.in_(mine), ~_referenced()).returning(Blob)
    return list(session.scalars(statement.execution_options(synchronize_session=False)))


def loosen(session: Session, shas: Select[str | None]) -> None:
    """The blobs may have no reference soon: for who deletes rows that name them and has no store to release them by."""
    loosened = update(Blob).where(Blob.sha256.in_(shas)).values(loose=True)
    session.execute(loosened.execution_options(synchronize_session=False))


def garbage(session: Session, older_than_s: float, limit: int = 100) -> list[str]:
    """Blobs without a reference whose last put was that long ago.

    One look at all blobs would take as long as a million jobs' checkpoints are many; those that may have none are few.
    """
    old = Blob.touched_at < now(session) - timedelta(seconds=older_than_s)
    return list(session.scalars(select(Blob.sha256).where(Blob.loose, old, ~_referenced()).limit(limit)))


def _referenced() -> ColumnElement[bool]:
    """True for a blob that any column with a foreign key to it names, chunks excepted."""
    found: ColumnElement[bool] | None = None
    for table in Base.metadata.sorted_tables:
        for key in table.foreign_keys:
            if key.column.table.name == Blob.__tablename__ and table.name != BlobChunk.__tablename__:
                there = exists().where(key.parent == Blob.sha256)
                found = there if found is None else found | there
    assert found is not None
    return found
