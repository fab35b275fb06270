"""Accounts of projects by entries, so that those who end jobs at once do not wait for one row.

A worker of the older version goes on to add to the projects' rows themselves, which stays right.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_AMOUNTS = ("seconds_trained", "jobs_succeeded", "jobs_failed", "jobs_cancelled")


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    one = "1: one more is over so; -1: one goes on, or is gone"
    op.create_table(
        "account_entries",
        sa.Column("id", number, primary_key=True, comment="in the order of entry"),
        sa.Column("project", sa.Text, nullable=False, comment="whose account"),
        sa.Column("seconds_trained", sa.Float, nullable=False, comment="of an attempt that has ended"),
        sa.Column("jobs_succeeded", sa.BigInteger, nullable=False, comment=one),
        sa.Column("jobs_failed", sa.BigInteger, nullable=False, comment="the same"),
        sa.Column("jobs_cancelled", sa.BigInteger, nullable=False, comment="the same"),
    )


def downgrade() -> None:
    for name in _AMOUNTS:
        op.execute(
            f"UPDATE projects SET {name} = {name} + "  # noqa: S608  # our own words
            f"(SELECT coalesce(sum({name}), 0) FROM account_entries WHERE project = projects.name)"
        )
    op.drop_table("account_entries")
