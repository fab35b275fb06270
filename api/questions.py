"""Questions to trained models: a row in the database, a wake-up, and a wait on the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from api.parts import Parts
from api.waiting import while_connected
from core.db.session import reading, transaction
from core.errors import FieldError, Invalid, NetmillError, TooLarge, Unavailable
from core.services import predictions
from core.services.predictions import QuestionView
from core.services.principal import Principal

OVER = ("done", "failed")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one checkpoint of a job."""

    job_id: str
    kind: Literal["predict", "export"]
    checkpoint: str
    request: dict[str, Any]


async def answered(
    request: Request, parts: Parts, who: Principal, question: Question, wait_s: float, *, keep: bool = False
) -> QuestionView:
    """The question once it is answered; raises what was wrong with it, or Unavailable after `wait_s`.

    `keep` leaves it to the workers when time is up, so that who asks again finds the answer.
    """
    view = await run_in_threadpool(_ask, parts, who, question)
    if view.status not in OVER:
        found = await while_connected(request, parts.questions.wait(view.id, lambda status: status in OVER, wait_s))
        if not found and not keep:
            await run_in_threadpool(_withdraw, parts, view.id)
        view = await run_in_threadpool(_get, parts, who, view.id) if found or keep else view
    if view.status == "failed":
        raise to_error(view.error or {})
    if view.status != "done":
        raise Unavailable(
            f"no worker answered within {wait_s:g} s",
            hint="try again; GET /readyz says whether a worker is there",
        )
    return view


def to_error(told: dict[str, Any]) -> NetmillError:
    """The error that the worker described."""
    detail, code, hint = told.get("detail", "the model could not answer"), told.get("code"), told.get("hint")
    faults = [FieldError(f["pointer"], f["code"], f["detail"]) for f in told.get("errors") or ()]
    if told.get("kind") == "invalid" or faults:
        return Invalid(detail, code=code, hint=hint, errors=faults)
    if code == "out_of_memory":
        return TooLarge(detail, code=code, hint=hint)
    if code == "internal":
        # a fault of ours: to ask again would change nothing, so nobody is told when to
        return NetmillError(detail, code=code, hint=hint)
    return Unavailable(detail, code=code, hint=hint)


def _ask(parts: Parts, who: Principal, question: Question) -> QuestionView:
    with transaction(parts.sessions) as session:
        view = predictions.ask(
            session,
            who,
            question.job_id,
            kind=question.kind,
            checkpoint=question.checkpoint,
            request=question.request,
        )
    if view.status not in OVER:
        parts.queue.publish_predict(view.id)
    return view


def _get(parts: Parts, who: Principal, question_id: str) -> QuestionView:
    with reading(parts.sessions) as session:
        return predictions.get(session, who, question_id)


def _withdraw(parts: Parts, question_id: str) -> None:
    with transaction(parts.sessions) as session:
        predictions.withdraw(session, question_id)
