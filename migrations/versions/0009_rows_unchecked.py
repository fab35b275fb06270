"""On PostgreSQL rows of a history are not looked up in `jobs` one by one: half of what writing them cost.

They are written by whoever holds the job's row locked, and deleted with it (see docs/decisions/0027).
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NAME = "fk_metrics_job_id_jobs"


def upgrade() -> None:
    # SQLite's check costs a tenth of its row, and taking it away would copy the table
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(_NAME, "metrics", type_="foreignkey")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DELETE FROM metrics WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.id = metrics.job_id)")
        op.create_foreign_key(_NAME, "metrics", "jobs", ["job_id"], ["id"], ondelete="CASCADE")
