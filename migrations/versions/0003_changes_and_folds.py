"""Changes of a job while it lives, and the fold that a row of its history is of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BEFORE = ("status", "metrics", "checkpoint", "warning", "log")


def upgrade() -> None:
    op.add_column(
        "jobs",
        sa.Column(
            "change_seq",
            sa.BigInteger,
            nullable=False,
            server_default=sa.text("0"),
            comment="number of the last change that was asked for",
        ),
    )
    op.add_column(
        "job_specs", sa.Column("changes", sa.JSON, nullable=True, comment="in the order asked for; null: none yet")
    )
    op.add_column("metrics", sa.Column("fold", sa.BigInteger, nullable=True, comment="0 to k - 1; null: no folds"))
    _allow((*_BEFORE, "change"))


def downgrade() -> None:
    # the older version has no word for it; as a log it stays, for the numbers of events have no holes
    op.execute("UPDATE job_events SET type = 'log' WHERE type = 'change'")
    _allow(_BEFORE)
    op.drop_column("metrics", "fold")
    op.drop_column("job_specs", "changes")
    op.drop_column("jobs", "change_seq")


def _allow(types: tuple[str, ...]) -> None:
    """Lets events be of these types and no others."""
    name = op.f("ck_job_events_type")
    words = ", ".join(f"'{each}'" for each in types)
    # SQLite changes no constraint: there the table is made anew
    with op.batch_alter_table("job_events") as batch:
        batch.drop_constraint(name, type_="check")
        batch.create_check_constraint(name, f"type IN ({words})")
