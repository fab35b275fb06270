"""Garbage among blobs is looked for among those that may be garbage, and not among all.

What a process of the older version stages during the deployment and never refers to, for it dies, stays where it is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NAMED_BY = (
    ("datasets", "sha256"),
    ("checkpoints", "content_sha256"),
    ("checkpoints", "state_sha256"),
    ("questions", "sha256"),
    ("analyses", "content_sha256"),
    ("analyses", "data_sha256"),
)


def upgrade() -> None:
    comment = "true: it may have no reference, having been staged or let go; garbage is looked for among these"
    op.add_column("blobs", sa.Column("loose", sa.Boolean, nullable=False, server_default=sa.false(), comment=comment))
    names = " UNION ALL ".join(f"SELECT {column} AS sha256 FROM {table}" for table, column in _NAMED_BY)  # noqa: S608  # our own words
    unnamed = f"NOT EXISTS (SELECT 1 FROM ({names}) AS named WHERE named.sha256 = blobs.sha256)"  # noqa: S608
    op.execute(f"UPDATE blobs SET loose = true WHERE {unnamed}")  # noqa: S608
    op.drop_index("ix_blobs_touched_at", "blobs")
    op.create_index(
        "ix_blobs_loose", "blobs", ["touched_at"], sqlite_where=sa.text("loose = 1"), postgresql_where=sa.text("loose")
    )


def downgrade() -> None:
    op.drop_index("ix_blobs_loose", "blobs")
    op.create_index("ix_blobs_touched_at", "blobs", ["touched_at"])
    op.drop_column("blobs", "loose")
