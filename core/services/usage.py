"""What each project has used."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, union
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.db.tables import Analysis, Blob, Checkpoint, Dataset, Job, Question
from core.services.accounts import accounts
from core.services.principal import Principal


@dataclass(frozen=True, slots=True)
class ProjectUsage:
    """One project; `bytes_stored` counts content that it has several times once."""

    project: str
    jobs: int
    seconds_trained: float
    bytes_stored: int


def by_project(session: Session, principal: Principal) -> list[ProjectUsage]:
    """All projects by name. Needs the scope admin."""
    principal.require("admin")
    unfinished = select(Job.project, func.count().label("jobs")).where(Job.finished_at.is_(None)).group_by(Job.project)
    jobs = {row.project: row.jobs for row in session.execute(unfinished)}
    stored = _bytes(session)
    return [
        ProjectUsage(name, jobs.get(name, 0) + account.jobs_over, account.seconds_trained, stored.get(name, 0))
        for name, account in accounts(session).items()
    ]


def _bytes(session: Session) -> dict[str, int]:
    """Bytes of the blobs that each project refers to, by whatever row."""

    def of_checkpoints(column: InstrumentedAttribute[str]) -> ColumnElement[str]:
        return column.label("sha256")

    checkpoints = [
        select(Job.project, of_checkpoints(column)).join(Checkpoint, Checkpoint.job_id == Job.id)
        for column in (Checkpoint.content_sha256, Checkpoint.state_sha256)
    ]
    datasets = select(Dataset.project, Dataset.sha256)
    exports = select(Question.project, Question.sha256).where(Question.sha256.is_not(None))
    analyses = select(Analysis.project, Analysis.data_sha256).where(Analysis.data_sha256.is_not(None))
    used = union(datasets, exports, analyses, *checkpoints).subquery()
    query = select(used.c.project, func.sum(Blob.bytes)).join(Blob, Blob.sha256 == used.c.sha256)
    return {project: int(total) for project, total in session.execute(query.group_by(used.c.project))}
