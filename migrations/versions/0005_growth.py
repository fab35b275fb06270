"""Indexes for a million jobs: lists by status, data set and tag; the open jobs; no index that a heartbeat has to write.

What is over is counted as it ends. A job that a process of the older version accepts during the deployment is not found
by its tags; the counts are made right by each worker that starts.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_OVER = ("succeeded", "failed", "cancelled")


def upgrade() -> None:
    for status in _OVER:
        comment = f"the same, {status}"
        if status == "succeeded":
            comment = "jobs that are over, counted as they end: to count rows takes long"
        column = sa.Column(
            f"jobs_{status}", sa.BigInteger, nullable=False, server_default=sa.text("0"), comment=comment
        )
        op.add_column("projects", column)
    _make_job_tags()
    for name in ("ix_jobs_dataset_id", "ix_jobs_lease", "ix_jobs_lease_owner"):
        op.drop_index(name, "jobs")
    op.create_index("ix_jobs_project_status_id", "jobs", ["project", "status", "id"])
    op.create_index("ix_jobs_project_dataset_id", "jobs", ["project", "dataset", "id"])
    _make_partial("ix_jobs_dataset_id_id", ["dataset_id", "id"], "dataset_id IS NOT NULL")
    _make_partial("ix_jobs_open", ["status", "project"], "finished_at IS NULL")
    for status in _OVER:
        ended = f"jobs.project = projects.name AND jobs.status = '{status}'"
        op.execute(f"UPDATE projects SET jobs_{status} = (SELECT count(*) FROM jobs WHERE {ended})")  # noqa: S608  # our own words
    if op.get_bind().dialect.name == "postgresql":
        # a page keeps room for the next version of its rows; dead ones are collected after 1 % and not after 20 %
        op.execute("ALTER TABLE jobs SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE jobs RESET (fillfactor, autovacuum_vacuum_scale_factor)")
    for name in ("ix_jobs_open", "ix_jobs_dataset_id_id", "ix_jobs_project_dataset_id", "ix_jobs_project_status_id"):
        op.drop_index(name, "jobs")
    op.create_index("ix_jobs_lease_owner", "jobs", ["lease_owner"])
    _make_partial("ix_jobs_lease", ["lease_until"], "status = 'running'")
    op.create_index("ix_jobs_dataset_id", "jobs", ["dataset_id"])
    op.drop_table("job_tags")
    for status in _OVER:
        op.drop_column("projects", f"jobs_{status}")


def _make_job_tags() -> None:
    op.create_table(
        "job_tags",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, comment="the job"),
        sa.Column("key", sa.Text, primary_key=True, comment="the tag's name"),
        sa.Column("value", sa.Text, nullable=False, comment="its value"),
        sa.Column("project", sa.Text, nullable=False, comment="the job's"),
    )
    pairs = "json_each_text" if op.get_bind().dialect.name == "postgresql" else "json_each"
    op.execute(
        "INSERT INTO job_tags (job_id, key, value, project) "  # noqa: S608  # our own words
        f"SELECT jobs.id, pair.key, pair.value, jobs.project FROM jobs, {pairs}(jobs.tags) AS pair"
    )
    op.create_index("ix_job_tags_project_key_value_job_id", "job_tags", ["project", "key", "value", "job_id"])
    op.create_index("ix_job_tags_project_key_job_id", "job_tags", ["project", "key", "job_id"])


def _make_partial(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "jobs", columns, sqlite_where=where, postgresql_where=where)
