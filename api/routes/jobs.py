"""Jobs: plan, submit, read, steer, delete."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy.orm import Session

from api.conditional import answer, conditional_model, matches, to_json
from api.deps import (
    Cursor,
    JsonBody,
    KeyDep,
    Limit,
    OnceDep,
    PartsDep,
    Reader,
    Transaction,
    Wait,
    Writer,
    after_commit,
)
from api.documents import EXAMPLE_SPEC, SPEC_REF, conditionals, posts, problems, reads
from api.parts import Parts
from api.polling import Poll
from api.rendered import Page
from api.replay import fingerprint_of
from api.schemas.common import Document
from api.schemas.jobs import Continue, Job, JobPage
from api.submissions import Asked, created
from core.db.session import reading
from core.services import changes, jobs
from core.services.job_view import JobView
from core.states import Status

router = APIRouter(tags=["jobs"])
JobId = Annotated[str, Path(min_length=1, max_length=100)]
SPEC_BODY = reads(SPEC_REF, EXAMPLE_SPEC)
PATCH = reads({"type": "object"}, {"optimizer": {"lr": 0.01}}, required=False)
CHANGE = reads({"type": "object"}, {"optimizer": {"lr": 0.01}, "training": {"epochs": 40, "early_stopping": None}})
# `version` goes up with every change that a job's view shows, but for its place in the queue
WHOLE = Page(("job",), lambda head: (head.version, head.place), lambda *of: to_json(Job.of(jobs.get(*of))))
MORE = reads({"$ref": "#/components/schemas/Continue"}, {"epochs": 10})


def wake(parts: Parts, session: Session, view: JobView, *, new: bool = False) -> JobView:
    """Tells the workers after the commit, and whoever waits for the job, which of a new one nobody does.

    A running one hears of a cancel or a pause sooner than it would look.
    """
    if view.status == Status.QUEUED:
        after_commit(session, partial(parts.queue.publish_wake, view.id))
    if not new:
        after_commit(session, partial(parts.queue.notify, view.id))
    return view


@router.post("/v1/plan", response_model=Document, openapi_extra=SPEC_BODY, responses=posts())
def plan_job(who: Reader, body: JsonBody, once: OnceDep, parts: PartsDep) -> Response:
    """A dry run: the spec with every default, layers with their sizes, costs and warnings, or all errors at once."""
    with reading(parts.sessions) as session:
        plan = jobs.check(session, who, body.value(), parts.limits)
    return once.answer_alone(parts.sessions, answer(Document(plan.to_json())))


@router.post("/v1/jobs", status_code=201, response_model=Job, openapi_extra=SPEC_BODY, responses=posts())
async def submit_job(*, request: Request, who: Writer, body: JsonBody, key: KeyDep, parts: PartsDep) -> Response:
    """Queues a job; all errors of its spec come back at once."""
    same = fingerprint_of(request, body.raw) if key else ""
    return await parts.submissions(Asked(who, body, key, same))


@router.get("/v1/jobs", response_model=JobPage, responses=conditionals())
def list_jobs(
    *,
    request: Request,
    who: Reader,
    parts: PartsDep,
    status: Status | None = None,
    tag: Annotated[str | None, Query(max_length=500, description="`key` or `key=value`")] = None,
    dataset: Annotated[str | None, Query(max_length=200, description="id or name")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """The project's jobs, newest first."""
    filters = {"status": status, "tag": tag, "dataset": dataset}
    with reading(parts.sessions) as session:
        page = JobPage.of(jobs.list_jobs(session, who, **filters, limit=limit, cursor=cursor))
    return conditional_model(request, page)


@router.get("/v1/jobs/{job_id}", response_model=Job, responses=conditionals(404))
async def read_job(request: Request, job_id: JobId, who: Reader, parts: PartsDep, wait: Wait = 0) -> Response:
    """One job; with `wait`, at its next change of status or progress, at once when it is terminal."""
    poll = Poll(request, parts, who, job_id)
    first = head = await poll.head()
    outdated = poll.known is not None and not matches(poll.known, WHOLE.etag(job_id, head))
    if wait and not head.terminal and not outdated:
        head = await poll.later(lambda head: head.version > first.version, wait)
    return await poll.answer(WHOLE, head)


@router.post("/v1/jobs/{job_id}/cancel", status_code=202, response_model=Job, responses=posts(404))
def cancel_job(job_id: JobId, who: Writer, once: OnceDep, parts: PartsDep, session: Transaction) -> Response:
    """Ends a job; a running one stops within a step or two and keeps its work in a checkpoint."""
    return once.answer(session, answer(Job.of(wake(parts, session, jobs.cancel(session, who, job_id))), status=202))


@router.post("/v1/jobs/{job_id}/pause", status_code=202, response_model=Job, responses=posts(404))
def pause_job(job_id: JobId, who: Writer, once: OnceDep, parts: PartsDep, session: Transaction) -> Response:
    """Stops a job so that nothing runs and nothing is held; it can go on bit for bit."""
    return once.answer(session, answer(Job.of(wake(parts, session, jobs.pause(session, who, job_id))), status=202))


@router.post("/v1/jobs/{job_id}/resume", status_code=202, response_model=Job, responses=posts(404))
def resume_job(job_id: JobId, who: Writer, once: OnceDep, parts: PartsDep, session: Transaction) -> Response:
    """Queues a paused job, which goes on where it stopped."""
    return once.answer(session, answer(Job.of(wake(parts, session, jobs.resume(session, who, job_id))), status=202))


@router.post(
    "/v1/jobs/{job_id}/continue", status_code=202, response_model=Job, openapi_extra=MORE, responses=posts(404)
)
def continue_job(
    *, job_id: JobId, who: Writer, body: JsonBody, once: OnceDep, parts: PartsDep, session: Transaction
) -> Response:
    """Trains a finished job further, from its last checkpoint, exactly."""
    epochs = body.parse(Continue).epochs
    view = wake(parts, session, jobs.continue_(session, who, job_id, epochs, parts.limits))
    return once.answer(session, answer(Job.of(view), status=202))


@router.post("/v1/jobs/{job_id}/clone", status_code=201, response_model=Job, openapi_extra=PATCH, responses=posts(404))
def clone_job(
    *, job_id: JobId, who: Writer, body: JsonBody, once: OnceDep, parts: PartsDep, session: Transaction
) -> Response:
    """A new job from an old one's spec, changed by a JSON merge patch (RFC 7396)."""
    view = jobs.clone(session, who, job_id, body.value(), parts.limits)
    return once.answer(session, created(wake(parts, session, view, new=True)))


@router.patch("/v1/jobs/{job_id}", status_code=202, response_model=Job, openapi_extra=CHANGE, responses=posts(404))
def change_job(
    *, job_id: JobId, who: Writer, body: JsonBody, once: OnceDep, parts: PartsDep, session: Transaction
) -> Response:
    """Changes learning rate, epochs or early stopping (JSON merge patch of the spec) from the run's next step on."""
    view = wake(parts, session, changes.change(session, who, job_id, body.value(), parts.limits))
    return once.answer(session, answer(Job.of(view), status=202))


@router.delete("/v1/jobs/{job_id}", status_code=204, response_class=Response, responses=problems(404, 409))
def delete_job(job_id: JobId, who: Writer, parts: PartsDep, session: Transaction) -> None:
    """Removes a finished job with all that it stored."""
    jobs.delete(session, parts.store, who, job_id)
    after_commit(session, partial(parts.queue.notify, job_id))
