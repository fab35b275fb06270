"""Data sets: those of a project, and the built-in ones that everybody has."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.data.builtin import BUILTIN, builtin_preview, builtin_profile, builtin_schema
from core.data.ingest import Ingested
from core.db.session import now
from core.db.tables import Dataset, Job
from core.errors import Conflict, FieldError, Invalid, NotFound
from core.ids import DATASET, new_id
from core.services.dataset_view import DatasetView, builtin_view, view_of
from core.services.pages import Page, check_cursor, is_storable
from core.services.principal import Principal
from core.services.recent import Recent
from core.spec.data import DataSpec
from core.spec.dataset import DatasetSchema
from core.storage.store import BlobStore

_MAX_NAME = 200


def create(
    session: Session, store: BlobStore, principal: Principal, *, name: str | None, ingested: Ingested
) -> tuple[DatasetView, bool]:
    """The data set, and whether it is new; the same content under the same name is the one that was there.

    Without a name content that the project already has is that set again. Large files are staged before the
    transaction. Raises Conflict for a name that is taken or built in, Invalid for one that cannot be.
    """
    principal.require("write")
    _check_name(name)
    if name in BUILTIN:
        raise Conflict(f"{name!r} is a built-in data set", code="name_taken", hint="choose another name")
    same = select(Dataset).where(Dataset.project == principal.project)
    same = same.where(Dataset.sha256 == ingested.sha256) if name is None else same.where(Dataset.name == name)
    found = session.scalars(same.order_by(Dataset.id).limit(1)).one_or_none()
    if found is not None and found.sha256 != ingested.sha256:
        hint = "choose another name, or delete the old one"
        raise Conflict(
            f"the name {found.name!r} is taken by {found.id} with other content", code="name_taken", hint=hint
        )
    if found is not None:
        return view_of(found), False
    stored = store.put(session, ingested.data_path, ingested.sha256)
    dataset = Dataset(
        id=new_id(DATASET),
        project=principal.project,
        name=name or f"dataset-{ingested.sha256[:12]}",
        kind=ingested.schema.kind,
        sha256=stored.sha256,
        bytes=stored.size,
        rows=ingested.schema.rows,
        schema=ingested.schema.model_dump(mode="json"),
        profile=ingested.profile,
        preview=ingested.preview,
        created_at=now(session),
    )
    session.add(dataset)
    session.flush()
    return view_of(dataset), True


def _check_name(name: str | None) -> None:
    if name is None:
        return
    allowed = 0 < len(name) <= _MAX_NAME and name.isprintable() and is_storable(name) and "/" not in name
    if not allowed or name != name.strip() or name.startswith(f"{DATASET}_"):
        detail = (
            f"received {name[:80]!a}, expected 1 to {_MAX_NAME} printable characters without '/', no space at an end, "
            "not with ds_ first; do choose another name"
        )
        raise Invalid("the name cannot be used", errors=[FieldError("/name", "bad_name", detail)])


def get(session: Session, principal: Principal, id_or_name: str) -> DatasetView:
    """The data set of that id or name, built-in ones included; raises NotFound."""
    principal.require("read")
    if id_or_name in BUILTIN:
        return builtin_view(id_or_name)
    return view_of(_row(session, principal, id_or_name))


def list_datasets(
    session: Session, principal: Principal, *, limit: int = 50, cursor: str | None = None
) -> Page[DatasetView]:
    """The project's data sets, newest first, and after them the built-in ones by name."""
    principal.require("read")
    names = sorted(BUILTIN)
    if check_cursor(cursor, DATASET, names) in names:
        return _builtin_page([], names[names.index(str(cursor)) + 1 :], limit)
    query = select(Dataset).where(Dataset.project == principal.project).order_by(Dataset.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(Dataset.id < cursor)
    rows = session.scalars(query).all()
    views = [view_of(row) for row in rows[:limit]]
    return Page(views, rows[limit - 1].id) if len(rows) > limit else _builtin_page(views, names, limit)


def _builtin_page(before: list[DatasetView], names: list[str], limit: int) -> Page[DatasetView]:
    """A page that goes on with built-in sets; its cursor is the last one's name, or the last own set's id."""
    room = limit - len(before)
    views = before + [builtin_view(name) for name in names[:room]]
    return Page(views, (names[room - 1] if room else before[-1].id) if len(names) > room else None)


def preview(session: Session, principal: Principal, id_or_name: str, rows: int) -> list[dict[str, Any]]:
    """The first rows (200 at most are stored) as JSON-safe dictionaries."""
    principal.require("read")
    if id_or_name in BUILTIN:
        return builtin_preview(id_or_name)[:rows]
    return _row(session, principal, id_or_name).preview[:rows]


def profile(session: Session, principal: Principal, id_or_name: str) -> dict[str, Any]:
    """Statistics and histogram of each column."""
    principal.require("read")
    if id_or_name in BUILTIN:
        return builtin_profile(id_or_name)
    return _row(session, principal, id_or_name).profile


def delete(session: Session, store: BlobStore, principal: Principal, dataset_id: str) -> None:
    """Deletes the data set, and its content unless another one shares it; Conflict while an unfinished job uses it."""
    principal.require("write")
    if dataset_id in BUILTIN:
        raise Conflict(f"{dataset_id!r} is built in and stays", code="builtin")
    dataset = _row(session, principal, dataset_id, lock="update")
    unfinished = select(Job.id).where(Job.dataset_id == dataset.id, Job.finished_at.is_(None)).limit(1)
    if job_id := session.scalar(unfinished):
        hint = "cancel the job or wait for its end"
        raise Conflict(f"{job_id} is not finished and uses this data set", code="dataset_in_use", hint=hint)
    session.delete(dataset)
    session.flush()
    store.release(session, [dataset.sha256])


class SchemaFinder:
    """What `check_job` asks for the shape of the data that a spec names; None when there is none of that name.

    With `hold` nobody deletes the data set until the transaction ends. What it found last stays in `schema` and, of
    an uploaded set, `dataset_id`.
    """

    def __init__(self, session: Session, principal: Principal, *, hold: bool = False) -> None:
        self._session = session
        self._principal = principal
        self._lock: Literal["share"] | None = "share" if hold else None
        self.schema: DatasetSchema | None = None
        self.dataset_id: str | None = None

    def __call__(self, data: DataSpec) -> DatasetSchema | None:
        self.schema = self.dataset_id = None
        if data.dataset in BUILTIN:
            self.schema = builtin_schema(data.dataset, data.parameters)
        elif row := find_row(self._session, self._principal, data.dataset, lock=self._lock):
            self.dataset_id = row.id
            self.schema = _SCHEMAS.get(row.id, lambda: DatasetSchema.model_validate(row.schema))
        return self.schema


# of uploaded sets, which never change
_SCHEMAS: Recent[str, DatasetSchema] = Recent(64)


def find_row(
    session: Session, principal: Principal, id_or_name: str, *, lock: Literal["share", "update"] | None = None
) -> Dataset | None:
    """The project's data set of that id or name.

    `share` is the lock of those who use it, `update` that of one who deletes it: the latter waits for the former,
    who then find it gone or are found by it.
    """
    if not is_storable(id_or_name):
        return None
    column = Dataset.id if id_or_name.startswith(f"{DATASET}_") else Dataset.name
    query = select(Dataset).where(Dataset.project == principal.project, column == id_or_name)
    if lock is not None:
        query = query.with_for_update(key_share=lock == "share", read=lock == "share")
    return session.scalars(query).one_or_none()


def _row(session: Session, principal: Principal, id_or_name: str, *, lock: Literal["update"] | None = None) -> Dataset:
    row = find_row(session, principal, id_or_name, lock=lock)
    if row is None:
        raise NotFound(f"there is no data set {id_or_name[:80]!a}")
    return row
