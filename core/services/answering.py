"""How a worker takes an analysis, holds it, answers it or gives it up: two never both answer.

Each take raises the fence, and whatever a worker writes names it. A process or a worker that dies over an analysis
costs it a crash; the second one ends it, for it would only go on killing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from core.data.builtin import BUILTIN
from core.db.session import now
from core.db.tables import Analysis, Checkpoint, Dataset, Job, JobSpecs
from core.services.claims import DataRef
from core.spec.analysis_request import read_analysis
from core.storage.store import BlobStore

MAX_CRASHES = 2
GONE = "0" * 64
_EXPIRED = "no sign of life from the worker that computed it"


@dataclass(frozen=True, slots=True)
class Taken:
    """An analysis as the worker that holds it sees it; spec, schema and data are those of its job or experiment."""

    id: str
    fence: int
    worker_id: str
    type: str
    request: dict[str, Any]
    job_id: str | None
    content_sha256: str | None
    trajectory: tuple[str, ...]
    spec: dict[str, Any] | None
    schema: dict[str, Any] | None
    data: DataRef | None


def take(session: Session, store: BlobStore, *, worker_id: str, lease_s: float) -> Taken | None:
    """The analysis that has waited longest, now this worker's for `lease_s` seconds; None when there is none.

    One whose worker gave no sign of life in time is taken over, or failed when that has happened before.
    """
    moment = now(session)
    expired = and_(Analysis.status == "running", Analysis.lease_until < moment)
    query = select(Analysis).where(or_(Analysis.status == "queued", expired)).order_by(Analysis.id).limit(1)
    while (row := session.scalars(query.with_for_update(skip_locked=True)).one_or_none()) is not None:
        if row.status == "running":
            _crash(session, store, row, _EXPIRED)
            session.flush()
        if row.status == "queued":
            row.status, row.worker, row.fence = "running", worker_id, row.fence + 1
            row.lease_until = moment + timedelta(seconds=lease_s)
            session.flush()
            return _taken(session, row)
    return None


def _taken(session: Session, row: Analysis) -> Taken:
    spec = schema = data = None
    trajectory: tuple[str, ...] = ()
    if row.job_id is not None:
        specs, job = session.get_one(JobSpecs, row.job_id), session.get_one(Job, row.job_id)
        request = read_analysis(row.request)
        spec, schema = specs.spec, specs.schema
        data = _data(session, job.dataset, job.dataset_id) if request.needs_data else None
        if request.needs_trajectory:
            path = select(Checkpoint.content_sha256).where(Checkpoint.job_id == row.job_id)
            trajectory = tuple(session.scalars(path.order_by(Checkpoint.step, Checkpoint.id)))
    elif row.training is not None:
        spec, schema = row.training["spec"], row.training["schema"]
        data = _data(session, spec["data"]["dataset"], row.training["dataset_id"])
    return Taken(
        id=row.id,
        fence=row.fence,
        worker_id=row.worker or "",
        type=row.type,
        request=row.request,
        job_id=row.job_id,
        content_sha256=row.content_sha256,
        trajectory=trajectory,
        spec=spec,
        schema=schema,
        data=data,
    )


def _data(session: Session, name: str, dataset_id: str | None) -> DataRef:
    """Where the rows stand; of a data set that was deleted since, an address that leads nowhere."""
    if name in BUILTIN:
        return DataRef(name, None, None)
    sha256 = session.scalar(select(Dataset.sha256).where(Dataset.id == dataset_id)) if dataset_id else None
    return DataRef(name, dataset_id, sha256 or GONE)


def renew(session: Session, taken: Taken, lease_s: float) -> bool:
    """Holds it for so long from now; False when it was deleted or is another worker's: stop."""
    held = update(Analysis).where(*_held(taken)).values(lease_until=now(session) + timedelta(seconds=lease_s))
    return session.execute(held.returning(Analysis.id)).first() is not None


def answer(session: Session, store: BlobStore, taken: Taken, path: Path) -> bool:
    """Writes the answer, a gzipped JSON document in a file; False when it is not this worker's any more."""
    row = _mine(session, taken)
    if row is None:
        return False
    row.data_sha256 = store.put(session, path).sha256
    _over(session, store, row, "succeeded")
    return True


def refuse(session: Session, store: BlobStore, taken: Taken, error: dict[str, Any]) -> bool:
    """Writes why there is no answer (code, detail, hint, errors); False when it is not this worker's any more."""
    row = _mine(session, taken)
    if row is None:
        return False
    row.error = error
    _over(session, store, row, "failed")
    return True


def crashed(session: Session, store: BlobStore, taken: Taken, reason: str) -> str:
    """Records that its process died: it is tried once more, then failed. Its status, or `gone`."""
    row = _mine(session, taken)
    if row is None:
        return "gone"
    _crash(session, store, row, reason)
    return row.status


def release(session: Session, store: BlobStore, worker_id: str, *, died: bool) -> None:
    """Lets others take what the worker holds and will not answer; a death counts, a shutdown does not."""
    held = select(Analysis).where(Analysis.worker == worker_id, Analysis.status == "running").with_for_update()
    for row in session.scalars(held):
        if died:
            _crash(session, store, row, f"worker {worker_id} was restarted")
        else:
            row.status, row.worker, row.lease_until = "queued", None, None


def _crash(session: Session, store: BlobStore, row: Analysis, reason: str) -> None:
    row.crashes += 1
    row.status, row.worker, row.lease_until = "queued", None, None
    if row.crashes >= MAX_CRASHES:
        row.error = {
            "code": "worker_lost",
            "detail": f"what computes it died {row.crashes} times, the last time: {reason}",
            "hint": "ask for less: fewer rows or points",
            "errors": [],
        }
        _over(session, store, row, "failed")


def _over(session: Session, store: BlobStore, row: Analysis, status: str) -> None:
    """The end: the model is held no longer, its blob goes when its checkpoint has gone meanwhile."""
    held, row.content_sha256 = row.content_sha256, None
    row.status, row.worker, row.lease_until, row.finished_at = status, None, None, now(session)
    session.flush()
    if held is not None:
        store.release(session, [held])


def _mine(session: Session, taken: Taken) -> Analysis | None:
    query = select(Analysis).where(*_held(taken)).with_for_update().execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def _held(taken: Taken) -> tuple[Any, ...]:
    return (Analysis.id == taken.id, Analysis.fence == taken.fence, Analysis.status == "running")
