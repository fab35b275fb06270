"""What each project has used up, kept in its row and in entries that are still to be added to it.

Whoever ends a job writes an entry and waits for nobody; the sweeper adds entries up. Both together are the account.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from sqlalchemy import delete, func, literal, select, union_all
from sqlalchemy.orm import Session

from core.db.tables import AccountEntry, Job, Project
from core.states import TERMINAL


@dataclass(frozen=True, slots=True)
class Account:
    """Seconds of all attempts, deleted jobs' too, and how many jobs are over in each way."""

    seconds_trained: float
    jobs_succeeded: int
    jobs_failed: int
    jobs_cancelled: int

    @property
    def jobs_over(self) -> int:
        """How many that is together."""
        return self.jobs_succeeded + self.jobs_failed + self.jobs_cancelled


_AMOUNTS = tuple(field.name for field in fields(Account))


def accounts(session: Session) -> dict[str, Account]:
    """The account of each project, by name in order."""
    parts = [
        select(project.label("project"), *(getattr(table, name) for name in _AMOUNTS))
        for table, project in ((Project, Project.name), (AccountEntry, AccountEntry.project))
    ]
    both = union_all(*parts).subquery()
    sums = (func.sum(both.c[name]).label(name) for name in _AMOUNTS)
    found = session.execute(select(both.c.project, *sums).group_by(both.c.project).order_by(both.c.project))
    # PostgreSQL adds whole numbers up to decimals
    return {project: Account(float(seconds), *map(int, jobs)) for project, seconds, *jobs in found}


def add_up(session: Session) -> None:
    """Adds the entries to their projects."""
    if session.scalar(select(AccountEntry.id).limit(1)) is None:
        return
    projects = _locked(session)
    gone = delete(AccountEntry).returning(AccountEntry).execution_options(synchronize_session=False)
    for entry in session.scalars(gone):
        for name in _AMOUNTS:
            setattr(projects[entry.project], name, getattr(projects[entry.project], name) + getattr(entry, name))


def recount(session: Session) -> None:
    """Makes the counts of jobs that are over right, whatever was left out by processes of an older version.

    Rows and entries are counted in one statement, which sees both as of one moment.
    """
    projects = _locked(session)
    jobs = select(Job.project.label("project"), Job.status.label("status"), func.count().label("jobs"))
    parts = [jobs.where(Job.status.in_(TERMINAL)).group_by(Job.project, Job.status)]
    for status in TERMINAL:
        entered = func.coalesce(func.sum(getattr(AccountEntry, f"jobs_{status}")), 0)
        parts.append(select(AccountEntry.project, literal(str(status)), -entered).group_by(AccountEntry.project))
    counted = union_all(*parts).subquery()
    sums = select(counted.c.project, counted.c.status, func.sum(counted.c.jobs)).group_by(
        counted.c.project, counted.c.status
    )
    found = {(project, status): int(jobs) for project, status, jobs in session.execute(sums)}
    for name, project in projects.items():
        for status in TERMINAL:
            setattr(project, f"jobs_{status}", found.get((name, str(status)), 0))


def _locked(session: Session) -> dict[str, Project]:
    """All projects, locked in one order against another who adds up; nobody who submits a job waits for that."""
    query = select(Project).order_by(Project.name).with_for_update(key_share=True)
    return {project.name: project for project in session.scalars(query)}
