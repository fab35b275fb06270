"""One conformance test for every place where blobs can stand."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.db.session import Sessions, now, reading, transaction
from core.db.tables import Blob, BlobChunk, Dataset
from core.errors import NotFound
from core.ids import DATASET, new_id
from core.storage import folder, rows
from core.storage.choose import open_store
from core.storage.database import DatabaseStore
from core.storage.folder import FolderStore
from core.storage.rows import PIECE_BYTES, mark_damaged
from core.storage.store import BlobStore, CorruptBlob

SIZES = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 17]


@pytest.fixture(params=["database", "folder"])
def place(request: pytest.FixtureRequest, sessions: Sessions, tmp_path: Path) -> BlobStore:
    where = "database" if request.param == "database" else f"file://{tmp_path}/blobs"
    return open_store(sessions, where)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def whole(place: BlobStore, sha256: str) -> bytes:
    return b"".join(place.open_range(sha256))


def put(sessions: Sessions, place: BlobStore, content: bytes) -> str:
    with transaction(sessions) as session:
        return place.put(session, content).sha256


def refer(session: Session, sha256: str, name: str = "one") -> None:
    """A row that refers to the blob."""
    session.add(
        Dataset(
            id=new_id(DATASET),
            project="default",
            name=name,
            kind="table",
            sha256=sha256,
            bytes=1,
            rows=1,
            schema={},
            profile={},
            preview=[],
            created_at=now(session),
        )
    )
    session.flush()


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


def sources(folder: Path, contents: list[bytes]) -> dict[str, Path]:
    """Files by their sha256."""
    found = {}
    for content in contents:
        path = folder / f"source-{sha(content)}"
        path.write_bytes(content)
        found[sha(content)] = path
    return found


def test_many_at_once(sessions: Sessions, place: BlobStore, tmp_path: Path) -> None:
    """New and known ones, small, large and empty, and one that was found damaged."""
    contents = [bytes([n]) * size for n, size in enumerate(SIZES)]
    known, damaged = contents[1], contents[2]
    put(sessions, place, known)
    put(sessions, place, damaged)
    with transaction(sessions) as session:
        mark_damaged(session, sha(damaged))
    for _ in range(2):
        with transaction(sessions) as session:
            sizes = place.put_many(session, sources(tmp_path, contents))
        assert sizes == {sha(content): len(content) for content in contents}
        assert [whole(place, sha(content)) for content in contents] == contents


def test_many_at_once_with_one_that_is_not_what_it_says(sessions: Sessions, place: BlobStore, tmp_path: Path) -> None:
    given = sources(tmp_path, [b"one", b"two", b"three"])
    given[sha(b"two")].write_bytes(b"owt")
    with pytest.raises(CorruptBlob), transaction(sessions) as session:
        place.put_many(session, given)
    with reading(sessions) as session:
        assert session.scalar(select(func.count()).select_from(Blob)) == 0


def test_two_who_put_the_same_many_do_not_wait_in_a_circle(
    sessions: Sessions, place: BlobStore, tmp_path: Path
) -> None:
    contents = [f"blob {n}".encode() for n in range(40)]
    barrier = Barrier(4)

    def worker(number: int) -> dict[str, int]:
        order = contents[number * 10 :] + contents[: number * 10]
        folder = tmp_path / f"worker-{number}"
        folder.mkdir()
        given = sources(folder, order)
        barrier.wait()
        with transaction(sessions) as session:
            return place.put_many(session, given)

    with ThreadPoolExecutor(4) as threads:
        assert all(len(sizes) == 40 for sizes in threads.map(worker, range(4)))
    assert [whole(place, sha(content)) for content in contents] == contents


@pytest.mark.parametrize("size", SIZES)
def test_what_goes_in_comes_out(sessions: Sessions, place: BlobStore, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    with transaction(sessions) as session:
        stored = place.put(session, source, sha(content))
    assert (stored.sha256, stored.size) == (sha(content), size)
    assert whole(place, stored.sha256) == content
    place.read_to(stored.sha256, target)
    assert target.read_bytes() == content


def test_ranges(sessions: Sessions, place: BlobStore) -> None:
    content = os.urandom(2 * PIECE_BYTES + 100)
    name = put(sessions, place, content)
    edges = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, len(content) - 1, len(content)]
    for start in edges:
        for end in [*edges, None, len(content) + 1000]:
            assert b"".join(place.open_range(name, start, end)) == content[start:end], (start, end)


def test_a_blob_that_is_not_there(place: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        place.open_range("0" * 64)
    with pytest.raises(NotFound):
        place.read_to("0" * 64, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_content_that_is_not_what_it_says_is_refused(sessions: Sessions, place: BlobStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"another")
    with pytest.raises(CorruptBlob), transaction(sessions) as session:
        place.put(session, source, sha(b"one"))
    with pytest.raises(CorruptBlob):
        place.stage(source, sha(b"one"))
    with pytest.raises(NotFound):
        place.open_range(sha(b"one"))
    assert files(tmp_path) == []


def test_the_same_content_is_stored_once(sessions: Sessions, place: BlobStore, tmp_path: Path) -> None:
    assert put(sessions, place, b"twice") == put(sessions, place, b"twice")
    with reading(sessions) as session:
        assert session.scalar(select(func.count()).select_from(Blob)) == 1
        assert session.scalar(select(func.count()).select_from(BlobChunk)) == (0 if files(tmp_path) else 1)
    assert len(files(tmp_path)) <= 1


def test_a_rollback_leaves_nothing(sessions: Sessions, place: BlobStore, tmp_path: Path) -> None:
    with sessions() as session:
        place.put(session, b"lost")
        session.rollback()
    with pytest.raises(NotFound):
        place.open_range(sha(b"lost"))
    assert files(tmp_path) == []


def test_staging(sessions: Sessions, place: BlobStore, tmp_path: Path) -> None:
    content = os.urandom(20 * PIECE_BYTES + 5)
    source = tmp_path / "large"
    source.write_bytes(content)
    for _ in range(2):
        assert place.stage(source).size == len(content)
    source.unlink()
    with transaction(sessions) as session:
        assert place.put(session, source, sha(content)).size == len(content)
    assert whole(place, sha(content)) == content


def test_many_put_and_stage_the_same_at_once(sessions: Sessions, place: BlobStore, tmp_path: Path) -> None:
    content = os.urandom(3 * PIECE_BYTES)
    source = tmp_path / "source"
    source.write_bytes(content)
    barrier = Barrier(6)

    def one(number: int) -> None:
        barrier.wait()
        if number % 2:
            place.stage(source, sha(content))
        with transaction(sessions) as session:
            place.put(session, source, sha(content))
            refer(session, sha(content), f"set {number}")

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(one, range(6)))
    assert whole(place, sha(content)) == content
    assert len(files(tmp_path)) <= 1


def test_release_keeps_what_is_referred_to(sessions: Sessions, place: BlobStore, tmp_path: Path) -> None:
    kept, gone = put(sessions, place, b"kept"), put(sessions, place, b"gone")
    with transaction(sessions) as session:
        refer(session, kept)
        place.release(session, [kept, gone, "f" * 64])
    assert whole(place, kept) == b"kept"
    with pytest.raises(NotFound):
        place.open_range(gone)
    assert len(files(tmp_path)) <= 1


def test_a_release_that_is_rolled_back_deletes_nothing(sessions: Sessions, place: BlobStore) -> None:
    name = put(sessions, place, b"content")
    with sessions() as session:
        place.release(session, [name])
        session.rollback()
    assert whole(place, name) == b"content"


def test_release_races_with_put(sessions: Sessions, place: BlobStore, tmp_path: Path) -> None:
    """Whoever comes first: a blob that a committed row refers to is there and whole."""
    source = tmp_path / "source"
    source.write_bytes(b"contested" * 1000)
    name = sha(source.read_bytes())

    def adopt(number: int) -> None:
        with transaction(sessions) as session:
            place.put(session, source, name)
            refer(session, name, f"set {number}")

    def orphan(number: int) -> None:
        with transaction(sessions) as session:
            found = session.scalars(
                select(Dataset).where(Dataset.name == f"set {number}").with_for_update()
            ).one_or_none()
            if found is not None:
                session.delete(found)
                session.flush()
                place.release(session, [name])

    work: list[Callable[[], None]] = []
    for number in range(30):
        work += [lambda number=number: adopt(number), lambda number=number: orphan(number)]
    with ThreadPoolExecutor(6) as threads:
        for done in [threads.submit(action) for action in work]:
            done.result()
    with reading(sessions) as session:
        left = session.scalar(select(func.count()).select_from(Dataset))
    if left:
        assert whole(place, name) == source.read_bytes()
    else:
        with pytest.raises(NotFound):
            place.open_range(name)


def test_damage_is_noticed_and_the_next_put_heals_it(sessions: Sessions, place: BlobStore, tmp_path: Path) -> None:
    content = os.urandom(PIECE_BYTES + 10)
    name = put(sessions, place, content)
    with transaction(sessions) as session:
        refer(session, name)
        session.execute(update(BlobChunk).where(BlobChunk.n == 1).values(data=b"0123456789"))
    for path in files(tmp_path):
        path.write_bytes(path.read_bytes()[:-10] + b"0123456789")
    with pytest.raises(CorruptBlob):
        place.read_to(name, tmp_path / "target")
    assert not (tmp_path / "target").exists()
    with pytest.raises(CorruptBlob):
        whole(place, name)
    with transaction(sessions) as session:
        mark_damaged(session, name)
    put(sessions, place, content)
    assert whole(place, name) == content
    assert len(files(tmp_path)) <= 1


def test_truncation_is_noticed(sessions: Sessions, place: BlobStore, tmp_path: Path) -> None:
    name = put(sessions, place, os.urandom(PIECE_BYTES + 10))
    with transaction(sessions) as session:
        session.query(BlobChunk).where(BlobChunk.n == 1).delete()
    for path in files(tmp_path):
        path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CorruptBlob):
        whole(place, name)


def test_collect_takes_old_garbage_alone(sessions: Sessions, place: BlobStore, tmp_path: Path) -> None:
    for text in (b"old", b"kept", b"new"):
        (tmp_path / "staged").write_bytes(text)
        place.stage(tmp_path / "staged")
    old, kept, new = sha(b"old"), put(sessions, place, b"kept"), sha(b"new")
    with transaction(sessions) as session:
        refer(session, kept)
        long_ago = now(session) - timedelta(hours=2)
        session.execute(update(Blob).where(Blob.sha256.in_([old, kept])).values(touched_at=long_ago))
    assert place.collect() == 1
    assert (whole(place, kept), whole(place, new)) == (b"kept", b"new")
    with pytest.raises(NotFound):
        place.open_range(old)


def test_garbage_is_looked_for_among_what_may_be_garbage(sessions: Sessions, place: BlobStore, tmp_path: Path) -> None:
    """What was put is referred to and not looked at; what is loose is looked at, and whether it has a reference."""
    (tmp_path / "staged").write_bytes(b"staged")
    place.stage(tmp_path / "staged")
    known = put(sessions, place, b"put")
    with reading(sessions) as session:
        assert session.scalars(select(Blob.sha256).where(Blob.loose)).all() == [sha(b"staged")]
    assert put(sessions, place, b"staged") == sha(b"staged")
    with transaction(sessions) as session:
        assert session.scalars(select(Blob.sha256).where(Blob.loose)).all() == []
        refer(session, known)
        rows.loosen(session, select(Blob.sha256))
    assert place.collect(older_than_s=-1) == 1
    assert whole(place, known) == b"put"


def test_half_a_staging_is_garbage_and_no_blob(sessions: Sessions, store: DatabaseStore) -> None:
    with transaction(sessions) as session:
        rows.begin(session, sha(b"half"), loose=True)
    with pytest.raises(NotFound):
        store.open_range(sha(b"half"))
    assert store.collect(older_than_s=-1) == 1


def test_a_folder_forgets_files_without_a_row(sessions: Sessions, tmp_path: Path) -> None:
    place = FolderStore(sessions, tmp_path / "blobs")
    name = put(sessions, place, b"content")
    lost = tmp_path / "blobs" / "ab" / "lost"
    lost.parent.mkdir(exist_ok=True)
    lost.write_bytes(b"lost")
    assert place.collect(older_than_s=3600) == 0
    for path in files(tmp_path):
        os.utime(path, (1, 1))
    assert place.collect(older_than_s=3600) == 1
    assert whole(place, name) == b"content"


def test_a_large_folder_is_looked_through_in_parts(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_FILES_AT_ONCE", 2)
    place = FolderStore(sessions, tmp_path / "blobs")
    name = put(sessions, place, b"content")
    for prefix in ("00", "77", "ff"):
        for n in range(2):
            lost = tmp_path / "blobs" / prefix / f"lost{n}"
            lost.parent.mkdir(exist_ok=True)
            lost.write_bytes(b"lost")
    for path in files(tmp_path):
        os.utime(path, (1, 1))
    counts = [place.collect(older_than_s=3600) for _ in range(5)]
    assert sum(counts) == 6
    assert max(counts) <= 3
    assert whole(place, name) == b"content"


@pytest.mark.parametrize("where", ["", "folder", "s3://bucket", "file://host/path", "file:relative"])
def test_an_unknown_place_is_refused(sessions: Sessions, where: str) -> None:
    with pytest.raises(ValueError, match="storage is"):
        open_store(sessions, where)
