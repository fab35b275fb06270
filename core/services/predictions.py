"""Questions to a trained model: a row is the question, a worker writes the answer into it.

Predictions and exports go the same way. The asker waits for the row; an export is kept with its checkpoint.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.orm import Session

from core.db.session import now
from core.db.tables import Checkpoint, Question
from core.errors import NotFound
from core.ids import PREDICTION, new_id
from core.services.checkpoints import choose
from core.services.principal import Principal
from core.storage.store import BlobStore

Kind = Literal["predict", "export"]


@dataclass(frozen=True, slots=True)
class QuestionView:
    """A question as its asker sees it; `status` is queued, running, done or failed."""

    id: str
    kind: str
    status: str
    job_id: str
    checkpoint_id: str
    answer: dict[str, Any] | None
    error: dict[str, Any] | None
    sha256: str | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Taken:
    """A question as a worker sees it."""

    id: str
    kind: str
    job_id: str
    checkpoint_id: str
    content_sha256: str
    request: dict[str, Any]


def ask(
    session: Session, principal: Principal, job_id: str, *, kind: Kind, checkpoint: str, request: dict[str, Any]
) -> QuestionView:
    """A new question to the job's checkpoint `best`, `last` or of that id; wake the predict queue after the commit.

    An export that was made before comes back done, and one that is under way is joined. Raises NotFound and Conflict
    as `checkpoints.choose`.
    """
    chosen = choose(session, principal, job_id, checkpoint)
    if kind == "export":
        made = select(Question).where(
            Question.checkpoint_id == chosen.id, Question.kind == kind, Question.status != "failed"
        )
        for question in session.scalars(made):
            if question.request == request:
                return _view(question)
    question = Question(
        id=new_id(PREDICTION),
        project=principal.project,
        kind=kind,
        job_id=chosen.job_id,
        checkpoint_id=chosen.id,
        request=request,
        status="queued",
        created_at=now(session),
    )
    session.add(question)
    session.flush()
    return _view(question)


def get(session: Session, principal: Principal, question_id: str) -> QuestionView:
    """The question, answered or not; raises NotFound."""
    principal.require("read")
    query = select(Question).where(Question.id == question_id, Question.project == principal.project)
    question = session.scalars(query).one_or_none()
    if question is None:
        raise NotFound("there is no such question any more")
    return _view(question)


def statuses(session: Session, question_ids: Collection[str]) -> dict[str, str]:
    """The status of each question, for everybody who waits; one that is missing is gone."""
    if not question_ids:
        return {}
    found = session.execute(select(Question.id, Question.status).where(Question.id.in_(question_ids)))
    return {row.id: row.status for row in found}


def withdraw(session: Session, question_id: str) -> None:
    """Nobody waits any more: a prediction goes; an export that is under way stays, for the next who asks."""
    session.execute(
        delete(Question).where(
            Question.id == question_id, or_(Question.kind == "predict", Question.status.in_(("queued", "failed")))
        )
    )


def take(
    session: Session, *, worker_id: str, limit: int = 16, lease_s: float = 30.0, export_lease_s: float = 180.0
) -> list[Taken]:
    """The oldest open questions, now this worker's; another may take them again when the lease runs out.

    An export may take two minutes, and its worker would take it again itself.
    """
    moment = now(session)
    is_open = or_(Question.status == "queued", and_(Question.status == "running", Question.lease_until < moment))
    query = select(Question).where(is_open).order_by(Question.id).limit(limit)
    questions = session.scalars(query.with_for_update(skip_locked=True)).all()
    for question in questions:
        question.status, question.worker = "running", worker_id
        question.lease_until = moment + timedelta(seconds=export_lease_s if question.kind == "export" else lease_s)
    shas = select(Checkpoint.id, Checkpoint.content_sha256).where(
        Checkpoint.id.in_([question.checkpoint_id for question in questions])
    )
    content = {row.id: row.content_sha256 for row in session.execute(shas)} if questions else {}
    return [
        Taken(q.id, q.kind, q.job_id, q.checkpoint_id, content[q.checkpoint_id], q.request)
        for q in questions
        if q.checkpoint_id in content
    ]


def answer(
    session: Session,
    store: BlobStore,
    question_id: str,
    worker_id: str,
    *,
    answer: dict[str, Any] | None = None,
    path: Path | None = None,
) -> bool:
    """Writes the answer, for an export its file; False when nobody waits for it from this worker."""
    question = _mine(session, question_id, worker_id)
    if question is None:
        return False
    if path is not None:
        stored = store.put(session, path)
        question.sha256, question.bytes = stored.sha256, stored.size
    question.status, question.answer, question.lease_until = "done", answer or {}, None
    return True


def refuse(
    session: Session,
    question_id: str,
    worker_id: str,
    *,
    code: str,
    detail: str,
    kind: Literal["invalid", "failed"] = "failed",
    hint: str | None = None,
    errors: Collection[dict[str, Any]] = (),
) -> bool:
    """Writes why there is no answer: `invalid` is the asker's fault; False when nobody waits from this worker."""
    question = _mine(session, question_id, worker_id)
    if question is None:
        return False
    question.status, question.lease_until = "failed", None
    question.error = {"kind": kind, "code": code, "detail": detail, "hint": hint, "errors": list(errors)}
    return True


def _mine(session: Session, question_id: str, worker_id: str) -> Question | None:
    query = select(Question).where(Question.id == question_id, Question.worker == worker_id)
    return session.scalars(query.where(Question.status == "running").with_for_update()).one_or_none()


def _view(question: Question) -> QuestionView:
    return QuestionView(
        id=question.id,
        kind=question.kind,
        status=question.status,
        job_id=question.job_id,
        checkpoint_id=question.checkpoint_id,
        answer=question.answer,
        error=question.error,
        sha256=question.sha256,
        bytes=question.bytes,
    )
