"""What each project has used."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, union
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.db.tables import Analysis, Blob, Checkpoint, Dataset, Job, Project, Question
from core.services.principal import Principal
from core.states import TERMINAL


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
    projects = session.scalars(select(Project).order_by(Project.name))
    return [
        ProjectUsage(p.name, jobs.get(p.name, 0) + _over(p), p.seconds_trained, stored.get(p.name, 0)) for p in projects
    ]


def _over(project: Project) -> int:
    return sum(getattr(project, f"jobs_{status}") for status in TERMINAL)


def recount(session: Session) -> None:
    """Makes the counts of jobs that are over right, whatever was left out by processes of an older version.

    Whoever ends a job changes its project's row in the same transaction, so with all of them locked the counts stand.
    """
    projects = session.scalars(select(Project).order_by(Project.name).with_for_update()).all()
    query = select(Job.project, Job.status, func.count().label("jobs")).group_by(Job.project, Job.status)
    found = {(row.project, row.status): row.jobs for row in session.execute(query.where(Job.status.in_(TERMINAL)))}
    for project in projects:
        for status in TERMINAL:
            setattr(project, f"jobs_{status}", found.get((project.name, status), 0))


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
