"""Jobs as their users handle them. What happens to a running one is asked for here and done by its worker."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, select, union
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from core.data.builtin import BUILTIN
from core.db.session import now
from core.db.tables import Analysis, Checkpoint, Job, JobSpecs, JobTag, Metric, Question
from core.errors import Conflict, FieldError, Invalid, NotFound
from core.ids import JOB
from core.services import change_log
from core.services.datasets import SchemaFinder, find_row
from core.services.job_view import JobView, view_of, views_of
from core.services.lifecycle import count_over, move
from core.services.merge_patch import merge_patch
from core.services.pages import Page, check_cursor, is_storable
from core.services.principal import Principal
from core.services.submitting import DEFAULT_QUEUE, Submission, accept, queue_each
from core.spec.cohorts import Load
from core.spec.limits import Limits
from core.spec.plan import Plan, check_job
from core.states import TERMINAL, Status
from core.storage.store import BlobStore


def check(session: Session, principal: Principal, body: object, limits: Limits) -> Plan:
    """What would be trained, or Invalid with every fault of the body."""
    principal.require("read")
    return check_job(body, SchemaFinder(session, principal), limits)


def submit(
    session: Session,
    principal: Principal,
    body: object,
    limits: Limits,
    *,
    queue: str = DEFAULT_QUEUE,
    parent: str | None = None,
) -> JobView:
    """A new job, queued; publish a wake-up after the commit. Raises Invalid with every fault of the body."""
    accepted = accept(session, Submission(principal, body, limits, queue, parent))
    return queue_each(session, [accepted])[0]


def get(session: Session, principal: Principal, job_id: str) -> JobView:
    """The job; raises NotFound, for another project's too."""
    return view_of(session, find(session, principal, job_id))


def find(session: Session, principal: Principal, job_id: str, *, scope: str = "read", lock: bool = False) -> Job:
    """The job's row, with `lock` for this transaction alone; raises NotFound and Forbidden."""
    principal.require(scope)
    query = select(Job).where(Job.id == job_id, Job.project == principal.project)
    job = session.scalars(query.with_for_update() if lock else query).one_or_none() if is_storable(job_id) else None
    if job is None:
        raise NotFound(f"there is no job {job_id[:80]!a}")
    return job


def list_jobs(
    session: Session,
    principal: Principal,
    *,
    status: str | None = None,
    tag: str | None = None,
    dataset: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[JobView]:
    """The project's jobs, newest first. `tag` is a key, or key=value; `dataset` an id or a name."""
    principal.require("read")
    if not all(is_storable(text or "") for text in (tag, dataset)):
        return Page([], None)
    uses = [] if dataset is None else _uses(session, principal, dataset)
    mine = Job.project == principal.project
    ids = select(Job.id).where(mine) if tag is None else _tagged(principal, tag)
    if tag is not None and (status is not None or uses):
        ids = ids.join(Job).where(mine)
    if status is not None:
        ids = ids.where(Job.status == _status(status))
    newest = session.scalars(_newest(ids, uses, check_cursor(cursor, JOB), limit + 1)).all()
    jobs = session.scalars(select(Job).where(Job.id.in_(newest[:limit])).order_by(Job.id.desc())).all()
    return Page(views_of(session, jobs), newest[limit - 1] if len(newest) > limit else None)


def _tagged(principal: Principal, tag: str) -> Select[str]:
    """The ids of the project's jobs with the tag."""
    key, equals, value = tag.partition("=")
    ids = select(JobTag.job_id).where(JobTag.project == principal.project, JobTag.key == key)
    return ids.where(JobTag.value == value) if equals else ids


def _newest(ids: Select[str], either: list[ColumnElement[bool]], before: str | None, limit: int) -> Select[str]:
    """The greatest of the ids whose job fulfils one of the conditions, if there are any.

    Ids alone are what an index of each filter has in this order, so that no row is read which is not wanted. With OR
    between the conditions there would be no such index.
    """
    (id_,) = ids.selected_columns
    if before is not None:
        ids = ids.where(id_ < before)
    ordered = ids.order_by(id_.desc()).limit(limit)
    if len(either) < 2:
        return ordered.where(*either)
    parts = (ordered.where(one).subquery() for one in either)
    (found,) = union(*(select(part) for part in parts)).subquery().c
    return select(found).order_by(found.desc()).limit(limit)


def _uses(session: Session, principal: Principal, dataset: str) -> list[ColumnElement[bool]]:
    """Conditions of which a job that uses the data set fulfils one; it may be named by its name or its id."""
    row = find_row(session, principal, dataset)
    return [Job.dataset == dataset, *([Job.dataset_id == row.id] if row else [])]


def _status(text: str) -> Status:
    if text not in set(Status):
        detail = f"received {text[:40]!a}, expected one of {', '.join(Status)}"
        raise Invalid("unknown status", errors=[FieldError("/status", "unknown_status", detail)])
    return Status(text)


def cancel(session: Session, principal: Principal, job_id: str) -> JobView:
    """Ends the job: at once unless it runs, else as soon as its worker hears of it. Conflict when it is over."""
    job = _unfinished(session, principal, job_id, "cancelled")
    if job.status != Status.RUNNING:
        move(session, job, Status.CANCELLED)
    elif job.cancel_requested_at is None:
        job.cancel_requested_at = now(session)
        job.version += 1
    return _flushed(session, job)


def pause(session: Session, principal: Principal, job_id: str) -> JobView:
    """Lets the job rest: at once unless it runs, else after its next step. Conflict when it is over or about to be."""
    job = _unfinished(session, principal, job_id, "paused")
    if job.cancel_requested_at is not None:
        raise Conflict(f"{job.id} is being cancelled", code="job_cancelling")
    if job.status == Status.QUEUED:
        move(session, job, Status.PAUSED)
    elif job.status == Status.RUNNING and job.pause_requested_at is None:
        job.pause_requested_at = now(session)
        job.version += 1
    return _flushed(session, job)


def resume(session: Session, principal: Principal, job_id: str) -> JobView:
    """Puts a paused job back in the queue, or takes back a pause that its worker has not heard of yet."""
    job = _unfinished(session, principal, job_id, "resumed")
    if job.status == Status.PAUSED:
        move(session, job, Status.QUEUED)
    elif job.pause_requested_at is not None:
        job.pause_requested_at = None
        job.version += 1
    return _flushed(session, job)


def continue_(session: Session, principal: Principal, job_id: str, epochs: int, limits: Limits) -> JobView:
    """The same job for so many epochs more, from its last checkpoint. Conflict unless it is over."""
    if not 1 <= epochs <= limits.epochs:
        detail = f"received {epochs}, expected a whole number from 1 to {limits.epochs}"
        raise Invalid("the job cannot go on as asked", errors=[FieldError("/epochs", "bad_epochs", detail)])
    job = find(session, principal, job_id, scope="write", lock=True)
    if job.status not in TERMINAL:
        hint = "wait for its end, or cancel it first"
        raise Conflict(f"{job.id} is {job.status} and not over", code="job_not_finished", hint=hint)
    _hold_dataset(session, principal, job)
    specs = session.get_one(JobSpecs, job.id, populate_existing=True)
    if specs.spec["data"]["split"].get("folds"):
        hint = "clone it with more training.epochs"
        raise Conflict(f"{job.id} was trained in folds, each to its end", code="job_in_folds", hint=hint)
    plan = check_job(_raised(specs.spec, epochs), SchemaFinder(session, principal), limits)
    specs.spec, specs.submitted = (
        plan.spec.model_dump(mode="json"),
        _raised(specs.submitted, epochs, plan.spec.training.epochs),
    )
    specs.load = Load.of(plan).to_json()
    change_log.overrule_epochs(specs)
    job.progress = {**job.progress, "epochs": plan.spec.training.epochs, "steps": plan.total_steps, "eta_s": None}
    job.crashes = 0
    move(session, job, Status.QUEUED, reason="continue", epochs=epochs)
    return _flushed(session, job)


def _raised(spec: dict[str, Any], more: int, total: int | None = None) -> dict[str, Any]:
    """The spec with so many epochs more, or with `total`."""
    training = spec.get("training") or {}
    return {**spec, "training": {**training, "epochs": total or training["epochs"] + more}}


def _hold_dataset(session: Session, principal: Principal, job: Job) -> None:
    """Locks the data set until the commit; Conflict when it was deleted since."""
    if job.dataset in BUILTIN:
        return
    if job.dataset_id is None or find_row(session, principal, job.dataset_id, lock="share") is None:
        raise Conflict(
            f"the data set {job.dataset!r} was deleted", code="dataset_gone", hint="upload it and clone the job"
        )


def clone(session: Session, principal: Principal, job_id: str, patch: object, limits: Limits) -> JobView:
    """A new job from the body of an old one with a merge patch (RFC 7396) applied; `parent` names the old one."""
    job = find(session, principal, job_id)
    if not isinstance(patch, dict):
        raise Invalid("the patch must be a JSON object", errors=[FieldError("", "not_an_object", "expected an object")])
    body = merge_patch(session.get_one(JobSpecs, job.id).submitted, patch)
    return submit(session, principal, body, limits, queue=job.queue, parent=job.id)


def delete(session: Session, store: BlobStore, principal: Principal, job_id: str) -> None:
    """Deletes a job that is over with all that it stored, blobs that nothing else shares too."""
    job = find(session, principal, job_id, scope="write", lock=True)
    if job.status not in TERMINAL:
        raise Conflict(f"{job.id} is {job.status}", code="job_not_finished", hint="cancel it first")
    rows = session.execute(
        select(Checkpoint.content_sha256, Checkpoint.state_sha256).where(Checkpoint.job_id == job.id)
    ).all()
    mine = select(Checkpoint.id).where(Checkpoint.job_id == job.id)
    exports = session.scalars(
        select(Question.sha256).where(Question.checkpoint_id.in_(mine), Question.sha256.is_not(None))
    )
    analyses = session.execute(
        select(Analysis.content_sha256, Analysis.data_sha256).where(Analysis.job_id == job.id)
    ).all()
    shas = [sha for row in (*rows, *analyses) for sha in row if sha] + [sha for sha in exports if sha]
    count_over(session, job.project, Status(job.status), -1)
    # of all that a job has these alone do not go by themselves on PostgreSQL
    session.execute(sql_delete(Metric).where(Metric.job_id == job.id))
    session.delete(job)
    session.flush()
    store.release(session, shas)


def _unfinished(session: Session, principal: Principal, job_id: str, verb: str) -> Job:
    job = find(session, principal, job_id, scope="write", lock=True)
    if job.status in TERMINAL:
        raise Conflict(f"{job.id} is {job.status} and cannot be {verb}", code="job_finished")
    return job


def _flushed(session: Session, job: Job) -> JobView:
    session.flush()
    return view_of(session, job)
