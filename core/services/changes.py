"""Changes of a job that is not over: learning rate, epochs, early stopping."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.changes import LIVE_FIELDS, live_fields
from core.db.session import now
from core.db.tables import Job, JobEvent, JobSpecs
from core.errors import Conflict, FieldError, Invalid
from core.services import change_log
from core.services.datasets import SchemaFinder
from core.services.job_view import JobView, view_of
from core.services.jobs import find
from core.services.lifecycle import announce
from core.services.merge_patch import merge_patch
from core.services.principal import Principal
from core.spec.findings import pointer
from core.spec.limits import Limits
from core.spec.plan import Plan, check_job
from core.states import TERMINAL

_MOST = 1000
_ALLOWED = {path: name for name, path in LIVE_FIELDS.items()}
_LISTED = ", ".join(pointer(path) for path in _ALLOWED)


def change(session: Session, principal: Principal, job_id: str, patch: object, limits: Limits) -> JobView:
    """The job with one more change, made before the next step of its run; notify its worker after the commit.

    `patch` is a JSON merge patch of the spec. Raises Invalid with every fault of it and of the spec that would come of
    it, Conflict when the job is over, about to be, or trained in folds.
    """
    job = find(session, principal, job_id, scope="write", lock=True)
    specs = session.get_one(JobSpecs, job.id, populate_existing=True)
    _check_job_may_change(job, specs)
    named = _named(patch)
    assert isinstance(patch, dict)
    plan = check_job(merge_patch(change_log.asked_spec(specs), patch), SchemaFinder(session, principal), limits)
    values = live_fields(plan.spec.model_dump(mode="json"))
    fields = {name: values[name] for name in named}
    entry = change_log.ask(job, specs, now(session), patch, fields)
    announce(session, job, [change_log.told(entry), *_new_warnings(session, job, plan)])
    session.flush()
    return view_of(session, job)


def _check_job_may_change(job: Job, specs: JobSpecs) -> None:
    if job.status in TERMINAL:
        raise Conflict(
            f"{job.id} is {job.status} and cannot be changed",
            code="job_finished",
            hint=f"POST /v1/jobs/{job.id}/continue adds epochs; /clone takes a patch and trains anew",
        )
    if job.cancel_requested_at is not None:
        raise Conflict(f"{job.id} is being cancelled", code="job_cancelling")
    if specs.spec["data"]["split"].get("folds"):
        raise Conflict(
            f"{job.id} is trained in folds, which are alike or cannot be compared",
            code="job_in_folds",
            hint=f"cancel it, and POST the patch to /v1/jobs/{job.id}/clone",
        )
    if len(specs.changes or ()) >= _MOST:
        raise Conflict(f"{job.id} was changed {_MOST} times, which is the limit", code="too_many_changes")


def _named(patch: object) -> list[str]:
    """The live fields that a patch names; Invalid when it names others, or nothing."""
    if not isinstance(patch, dict):
        raise Invalid("the patch must be a JSON object", errors=[FieldError("", "not_an_object", "expected an object")])
    named: list[str] = []
    errors: list[FieldError] = []
    for section, fields in patch.items():
        inner = fields if isinstance(fields, dict) else {}
        if not inner:
            errors.append(_not_live((section,)))
        for field in inner:
            name = _ALLOWED.get((section, field))
            errors += [] if name else [_not_live((section, field))]
            named += [name] if name else []
    if not errors and not named:
        errors.append(FieldError("", "nothing_to_change", f"received no change, expected one of {_LISTED}; do name it"))
    if errors:
        plural = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        raise Invalid(f"the change has {plural}", errors=errors, hint="to change anything else, clone the job")
    return named


def _not_live(path: tuple[str, ...]) -> FieldError:
    detail = (
        f"received {pointer(path)}, expected one of {_LISTED}: nothing else changes while a job lives; do leave it out"
    )
    return FieldError(pointer(path), "not_live", detail)


def _new_warnings(session: Session, job: Job, plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    """What the plan warns of now and did not before."""
    query = select(JobEvent.data).where(JobEvent.job_id == job.id, JobEvent.type == "warning")
    known = {(data["code"], data["pointer"]) for data in session.scalars(query)}
    new = [warning for warning in plan.warnings if (warning.code, warning.pointer) not in known]
    return [("warning", {"code": w.code, "pointer": w.pointer, "detail": w.detail}) for w in new]
