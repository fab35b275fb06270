"""What each project has used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, func, select, text, union
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.db.session import now
from core.db.tables import Analysis, Blob, Checkpoint, Dataset, Job, Project, Question
from core.services.accounts import Account, accounts
from core.services.principal import Principal


@dataclass(frozen=True, slots=True)
class ProjectUsage:
    """One project; `bytes_stored` counts content that it has several times once, and may be an hour old."""

    project: str
    jobs: int
    seconds_trained: float
    bytes_stored: int


def by_project(session: Session, principal: Principal) -> list[ProjectUsage]:
    """All projects by name. Needs the scope admin."""
    principal.require("admin")
    # grouped as the index of open jobs is ordered
    unfinished = select(Job.project, func.count()).where(Job.finished_at.is_(None)).group_by(Job.status, Job.project)
    jobs: Counter[str] = Counter()
    for project, count in session.execute(unfinished):
        jobs[project] += count
    projects = accounts(session)
    counted = _counted(session) if _are_many(projects) else {}
    stored = counted or _bytes(session)
    return [
        ProjectUsage(name, jobs[name] + account.jobs_over, account.seconds_trained, stored.get(name, 0))
        for name, account in projects.items()
    ]


# from so many finished jobs on (to count the bytes of a million takes 5 s) what was counted last is told
MANY = 20_000
_COUNT_AGAIN_S = 3600.0
_PATIENCE = text("SET LOCAL statement_timeout = '30min'")


def count_bytes(session: Session) -> None:
    """Counts what each project stores, if that is too much for a request and was not done in the last hour."""
    last = session.scalar(select(func.max(Project.bytes_counted_at)))
    if not _are_many(accounts(session)) or (
        last is not None and last > now(session) - timedelta(seconds=_COUNT_AGAIN_S)
    ):
        return
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_PATIENCE)
    stored = _bytes(session)
    for project in session.scalars(select(Project).order_by(Project.name)):
        project.bytes_stored, project.bytes_counted_at = stored.get(project.name, 0), now(session)


def _are_many(projects: Mapping[str, Account]) -> bool:
    return sum(account.jobs_over for account in projects.values()) >= MANY


def _counted(session: Session) -> dict[str, int]:
    """What was counted last; empty when nothing was yet."""
    rows = session.execute(select(Project.name, Project.bytes_stored).where(Project.bytes_stored.is_not(None)))
    return {name: stored for name, stored in rows if stored is not None}


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
