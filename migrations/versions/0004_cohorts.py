"""Jobs that train together: what makes them alike, how many did, and what each asks of a runner."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_QUEUED = sa.text("status = 'queued'")


def upgrade() -> None:
    # jobs that wait already have no key and train alone
    key = "equal for jobs that may train together; null: alone (core.spec.cohorts)"
    op.add_column("jobs", sa.Column("cohort_key", sa.String(64), nullable=True, comment=key))
    size = "jobs of the last claim, this one among them; null: alone"
    op.add_column("jobs", sa.Column("cohort_size", sa.BigInteger, nullable=True, comment=size))
    load = "core.spec.cohorts.Load: bytes, operations, seconds"
    op.add_column("job_specs", sa.Column("load", sa.JSON, nullable=True, comment=load))
    op.create_index(
        "ix_jobs_cohort",
        "jobs",
        ["queue", "cohort_key", "queued_at", "id"],
        sqlite_where=_QUEUED,
        postgresql_where=_QUEUED,
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_cohort", "jobs")
    op.drop_column("job_specs", "load")
    op.drop_column("jobs", "cohort_size")
    op.drop_column("jobs", "cohort_key")
