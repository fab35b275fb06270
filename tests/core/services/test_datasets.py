"""Data sets: names, content that is stored once, what may be deleted when."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from core.data.builtin import BUILTIN
from core.data.ingest import Ingested
from core.db.session import reading, transaction
from core.db.tables import Blob
from core.errors import Conflict, Forbidden, Invalid, NotFound
from core.services import datasets, jobs
from core.services.dataset_view import DatasetView
from core.services.principal import LOCAL, Principal
from core.spec.data import DataSpec
from core.spec.dataset import Column, DatasetSchema
from tests.support.training import FINISHED, House

COLUMNS = (
    Column(name="x", type="float", distinct=90, min=0.0, max=1.0, mean=0.5, std=0.3),
    Column(name="label", type="string", distinct=2, categories=("a", "b")),
)
SCHEMA = DatasetSchema(kind="table", rows=100, columns=COLUMNS)


def ingested(house: House, content: bytes = b"rows") -> Ingested:
    path = house.folder / hashlib.sha256(content).hexdigest()
    path.write_bytes(content)
    preview = [{"x": i / 100, "label": "a"} for i in range(100)]
    return Ingested(path, path.name, len(content), SCHEMA, {"columns": [{"name": "x"}]}, preview)


def create(
    house: House, name: str | None = "mine", content: bytes = b"rows", who: Principal = LOCAL
) -> tuple[DatasetView, bool]:
    with transaction(house.sessions) as session:
        return datasets.create(session, house.store, who, name=name, ingested=ingested(house, content))


def delete(house: House, dataset_id: str, who: Principal = LOCAL) -> None:
    with transaction(house.sessions) as session:
        datasets.delete(session, house.store, who, dataset_id)


def blobs(house: House) -> int:
    with reading(house.sessions) as session:
        return session.scalar(select(func.count()).select_from(Blob)) or 0


def submit_on(house: House, name: str) -> str:
    return house.submit(data={"dataset": name, "target": "label"}).id


def test_a_new_data_set(house: House) -> None:
    view, made = create(house)
    assert made
    assert (view.name, view.builtin, view.kind, view.rows, view.bytes) == ("mine", False, "table", 100, 4)
    assert [column["name"] for column in view.columns] == ["x", "label"]
    assert view.sha256 == hashlib.sha256(b"rows").hexdigest()
    with reading(house.sessions) as session:
        assert datasets.get(session, LOCAL, "mine") == datasets.get(session, LOCAL, view.id) == view
        assert len(datasets.preview(session, LOCAL, "mine", 7)) == 7
        assert datasets.profile(session, LOCAL, view.id) == {"columns": [{"name": "x"}]}
        assert datasets.SchemaFinder(session, LOCAL)(DataSpec(dataset="mine")) == SCHEMA
    assert b"".join(house.store.open_range(view.sha256)) == b"rows"


def test_names(house: House) -> None:
    view, _ = create(house)
    assert create(house) == (view, False)
    for name in ("mine", "iris"):
        with pytest.raises(Conflict) as caught:
            create(house, name, b"other rows")
        assert caught.value.code == "name_taken"
    for name in ("", "x" * 201, "a/b", "a\x00", "a\nb", "\ud800", "ds_1"):
        with pytest.raises(Invalid):
            create(house, name)


def test_without_a_name(house: House) -> None:
    view, made = create(house, None)
    assert made
    assert view.name.startswith("dataset-")
    assert create(house, None) == (view, False)


def test_the_same_content_under_two_names_is_stored_once(house: House) -> None:
    first, second = create(house, "one")[0], create(house, "two")[0]
    assert first.id != second.id
    assert blobs(house) == 1
    delete(house, first.id)
    assert blobs(house) == 1
    delete(house, second.id)
    assert blobs(house) == 0


def test_the_list_ends_with_the_built_in_ones(house: House) -> None:
    made = [create(house, f"set {number}", bytes([number]))[0].name for number in range(5)]
    cursor, names = None, []
    for _ in range(30):
        with reading(house.sessions) as session:
            page = datasets.list_datasets(session, LOCAL, limit=3, cursor=cursor)
        names += [view.name for view in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert names == made[::-1] + sorted(BUILTIN)


@pytest.mark.parametrize("limit", [1, 4, 5, 200])
def test_pages_neither_repeat_nor_miss(house: House, limit: int) -> None:
    for number in range(4):
        create(house, f"set {number}", bytes([number]))
    cursor, names = None, []
    while True:
        with reading(house.sessions) as session:
            page = datasets.list_datasets(session, LOCAL, limit=limit, cursor=cursor)
        assert len(page.data) <= limit
        names += [view.name for view in page.data]
        if (cursor := page.next_cursor) is None:
            break
    assert len(names) == len(set(names)) == 4 + len(BUILTIN)


def test_built_in_ones(house: House) -> None:
    with reading(house.sessions) as session:
        iris = datasets.get(session, LOCAL, "iris")
        moons = datasets.get(session, LOCAL, "moons")
        assert len(datasets.preview(session, LOCAL, "iris", 5)) == 5
        assert datasets.profile(session, LOCAL, "iris")
    assert (iris.builtin, iris.rows, iris.default_target, iris.parameters) == (True, 150, "label", {})
    assert {"rows", "noise", "seed"} <= set(moons.parameters)
    with pytest.raises(Conflict):
        delete(house, "iris")


def test_strangers_see_nothing(house: House, stranger: Principal) -> None:
    view, _ = create(house)
    with reading(house.sessions) as session:
        for name in (view.id, view.name):
            for read in (datasets.get, datasets.profile):
                with pytest.raises(NotFound):
                    read(session, stranger, name)
        listed = datasets.list_datasets(session, stranger, limit=200).data
        assert all(one.builtin for one in listed)
    with pytest.raises(NotFound):
        delete(house, view.id, stranger)
    other, made = create(house, who=stranger)
    assert made
    assert other.id != view.id
    assert blobs(house) == 1
    with pytest.raises(Invalid):
        house.submit(Principal("third", frozenset({"write"})), data={"dataset": view.id, "target": "label"})
    with pytest.raises(Forbidden):
        create(house, "another", who=Principal("default", frozenset({"read"})))


def test_one_in_use_stays(house: House) -> None:
    view, _ = create(house)
    submit_on(house, "mine")
    with pytest.raises(Conflict) as caught:
        delete(house, view.id)
    assert caught.value.code == "dataset_in_use"
    claim = house.take()
    assert (claim.data.name, claim.data.dataset_id, claim.data.sha256) == ("mine", view.id, view.sha256)
    assert DatasetSchema.model_validate(claim.schema) == SCHEMA
    house.record(claim, house.checkpoint(1), FINISHED)
    delete(house, view.id)
    with pytest.raises(Conflict) as caught:
        house.do(jobs.continue_, claim.job_id, 1, house.limits)
    assert caught.value.code == "dataset_gone"
    create(house, "mine", b"other rows")
    with pytest.raises(Conflict):
        house.do(jobs.continue_, claim.job_id, 1, house.limits)


def test_jobs_are_found_by_id_and_by_name(house: House) -> None:
    view, _ = create(house)
    made = [submit_on(house, "mine"), submit_on(house, view.id)]
    with reading(house.sessions) as session:
        for name in ("mine", view.id):
            found = {job.id for job in jobs.list_jobs(session, LOCAL, dataset=name).data}
            assert set(made) == found, name


def test_submit_and_delete_race(house: House) -> None:
    """Either the job is accepted and the data set stays, or the data set goes and the job is refused."""
    for number in range(8):
        view, _ = create(house, f"set {number}", bytes([number]))
        with ThreadPoolExecutor(2) as threads:
            accepted = threads.submit(submit_on, house, view.name)
            deleted = threads.submit(delete, house, view.id)
            refused = isinstance(accepted.exception(), Invalid)
            kept = isinstance(deleted.exception(), Conflict)
        assert refused != kept, (accepted.exception(), deleted.exception())
        if not refused:
            house.do(jobs.cancel, accepted.result())
