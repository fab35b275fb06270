"""Analyses as their users handle them: a row is the question of record, a worker computes the answer.

`answering` is the workers' side. The experiments of `lab` are rows of the same kind without a job.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.data.builtin import BUILTIN
from core.db.session import now
from core.db.tables import Analysis, Checkpoint, Job, JobSpecs
from core.db.upsert import insert_new
from core.errors import Conflict, FieldError, Invalid, NotFound, QuotaExceeded
from core.ids import ANALYSIS, new_id
from core.services.checkpoints import CheckpointView, choose
from core.services.jobs import find
from core.services.pages import Page, check_cursor, is_storable
from core.services.principal import Principal
from core.spec.analyses import AnalysisRequest
from core.spec.analysis_request import check_analysis, read_analysis
from core.spec.dataset import DatasetSchema
from core.spec.findings import Findings
from core.spec.job import JobSpec
from core.spec.limits import Limits
from core.spec.roles import assign_roles
from core.storage.store import BlobStore

OVER = ("succeeded", "failed")
# two directions through a path of checkpoints
LEAST_TRAJECTORY = 3
_AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class AnalysisView:
    """An analysis as its asker sees it; `job_id` is None for an experiment of the lab."""

    id: str
    type: str
    job_id: str | None
    checkpoint_id: str | None
    status: str
    created_at: datetime
    finished_at: datetime | None
    request: dict[str, Any]
    error: dict[str, Any] | None
    data_sha256: str | None

    @property
    def over(self) -> bool:
        return self.status in OVER


@dataclass(frozen=True, slots=True)
class Entry:
    """A question that is to be asked; `identity` is what makes two of them the same, beside type and request."""

    type: str
    request: dict[str, Any]
    identity: dict[str, Any]
    job_id: str | None = None
    checkpoint_id: str | None = None
    content_sha256: str | None = None
    training: dict[str, Any] | None = None


def ask(session: Session, principal: Principal, job_id: str, body: object, limits: Limits) -> tuple[AnalysisView, bool]:
    """The analysis that the body asks for and whether it is new; wake the workers after the commit when it is.

    The same request about the same checkpoint is answered by what is stored or under way. Raises Invalid with every
    fault, NotFound, Conflict without a checkpoint, QuotaExceeded.
    """
    principal.require("write")
    # locked, so that the checkpoint that is chosen is not replaced before the row holds its model
    job = find(session, principal, job_id, lock=True)
    request = read_analysis(body)
    chosen = choose(session, principal, job.id, request.checkpoint)
    _check(session, job, request, limits)
    path = _trajectory(session, chosen) if request.needs_trajectory else []
    dump = request.model_dump(mode="json")
    entry = Entry(
        type=request.type,
        request=dump,
        identity={"checkpoint": chosen.id, "path": path},
        job_id=job.id,
        checkpoint_id=chosen.id,
        content_sha256=chosen.sha256,
    )
    return enter(session, principal, entry, limits)


def _check(session: Session, job: Job, request: AnalysisRequest, limits: Limits) -> None:
    """Refuses at once what a worker would refuse later."""
    specs = session.get_one(JobSpecs, job.id)
    spec, schema = JobSpec.model_validate(specs.spec), DatasetSchema.model_validate(specs.schema)
    check_analysis(request, spec, assign_roles(spec, schema, limits, Findings()).classes)
    if request.needs_data and job.dataset_id is None and job.dataset not in BUILTIN:
        raise Conflict(
            f"the data set {job.dataset!r} was deleted and {request.type} needs its rows",
            code="dataset_gone",
            hint="upload it, clone the job and ask the new one",
        )


def _trajectory(session: Session, chosen: CheckpointView) -> list[str]:
    """Ids of the job's checkpoints in order; raises Invalid when they make no path."""
    query = select(Checkpoint.id).where(Checkpoint.job_id == chosen.job_id).order_by(Checkpoint.step, Checkpoint.id)
    ids = list(session.scalars(query))
    if len(ids) < LEAST_TRAJECTORY:
        detail = (
            f"received trajectory for a job with {len(ids)} kept checkpoint{'s' * (len(ids) != 1)}, expected at least "
            f"{LEAST_TRAJECTORY}; "
            "do train with checkpoints.keep_last set to 20, or choose random"
        )
        raise Invalid(
            "the job keeps too few checkpoints", errors=[FieldError("/directions", "too_few_checkpoints", detail)]
        )
    return ids


def enter(session: Session, principal: Principal, entry: Entry, limits: Limits) -> tuple[AnalysisView, bool]:
    """The row of the question, and whether it is new: one that is there or under way is joined."""
    about = {name: value for name, value in entry.request.items() if name != "checkpoint"}
    text = json.dumps([entry.type, about, entry.job_id, entry.identity], sort_keys=True, ensure_ascii=True)
    key = hashlib.sha256(text.encode()).hexdigest()
    while (there := _same(session, principal, key)) is None:
        _check_quota(session, principal, limits)
        row = {
            "id": new_id(ANALYSIS),
            "project": principal.project,
            "job_id": entry.job_id,
            "checkpoint_id": entry.checkpoint_id,
            "type": entry.type,
            "request": entry.request,
            "key": key,
            "training": entry.training,
            "content_sha256": entry.content_sha256,
            "status": "queued",
            "fence": 0,
            "crashes": 0,
            "created_at": now(session),
        }
        if insert_new(session, Analysis, row):
            return view_of(session.get_one(Analysis, row["id"])), True
    return view_of(there), False


def _same(session: Session, principal: Principal, key: str) -> Analysis | None:
    query = select(Analysis).where(
        Analysis.project == principal.project, Analysis.key == key, Analysis.status != "failed"
    )
    return session.scalars(query).one_or_none()


def _check_quota(session: Session, principal: Principal, limits: Limits) -> None:
    open_ones = Analysis.status.in_(("queued", "running"))
    waiting = select(func.count()).where(Analysis.project == principal.project, open_ones)
    if (count := session.scalar(waiting) or 0) >= limits.open_analyses:
        raise QuotaExceeded(
            f"{count} analyses of this project are not over, at most {limits.open_analyses} may be",
            code="too_many_analyses",
            hint="wait until some of them are over",
            retry_after_s=_AGAIN_S,
        )


def get(session: Session, principal: Principal, analysis_id: str, *, job_id: str | None) -> AnalysisView:
    """The analysis of this job, or with None that experiment of the lab; raises NotFound, for another's too."""
    return view_of(_find(session, principal, analysis_id, job_id))


def _find(
    session: Session, principal: Principal, analysis_id: str, job_id: str | None, scope: str = "read"
) -> Analysis:
    principal.require(scope)
    query = select(Analysis).where(Analysis.id == analysis_id, Analysis.project == principal.project)
    storable = is_storable(analysis_id) and is_storable(job_id or "")
    row = session.scalars(query.where(Analysis.job_id == job_id)).one_or_none() if storable else None
    if row is None:
        raise NotFound(f"there is no {'analysis' if job_id else 'experiment'} {analysis_id[:80]!a}")
    return row


def list_analyses(
    session: Session, principal: Principal, job_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[AnalysisView]:
    """The job's analyses, newest first."""
    job = find(session, principal, job_id)
    query = select(Analysis).where(Analysis.job_id == job.id).order_by(Analysis.id.desc()).limit(limit + 1)
    if check_cursor(cursor, ANALYSIS) is not None:
        query = query.where(Analysis.id < cursor)
    rows = session.scalars(query).all()
    return Page([view_of(row) for row in rows[:limit]], rows[limit - 1].id if len(rows) > limit else None)


def delete(session: Session, store: BlobStore, principal: Principal, analysis_id: str, *, job_id: str | None) -> None:
    """Deletes it; a worker that computes it notices, and its answer goes nowhere."""
    row = _find(session, principal, analysis_id, job_id, "write")
    shas = [sha for sha in (row.content_sha256, row.data_sha256) if sha is not None]
    session.delete(row)
    session.flush()
    store.release(session, shas)


def statuses(session: Session, ids: Collection[str]) -> dict[str, str]:
    """The status of each analysis, for everybody who waits; one that is missing is gone."""
    if not ids:
        return {}
    found = session.execute(select(Analysis.id, Analysis.status).where(Analysis.id.in_(ids)))
    return {row.id: row.status for row in found}


def read_data(store: BlobStore, view: AnalysisView) -> dict[str, Any] | None:
    """The answer's data, None before there is one; holds no connection while it is unpacked."""
    if view.data_sha256 is None:
        return None
    packed = b"".join(store.open_range(view.data_sha256))
    data: dict[str, Any] = json.loads(gzip.decompress(packed))
    return data


def view_of(row: Analysis) -> AnalysisView:
    """The view of a row."""
    return AnalysisView(
        id=row.id,
        type=row.type,
        job_id=row.job_id,
        checkpoint_id=row.checkpoint_id,
        status=row.status,
        created_at=row.created_at,
        finished_at=row.finished_at,
        request=row.request,
        error=row.error,
        data_sha256=row.data_sha256,
    )
