"""What each project stores, where to count it takes too long for a request."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    counted = "of its blobs, as last counted; null: never, they are few"
    op.add_column("projects", sa.Column("bytes_stored", sa.BigInteger, nullable=True, comment=counted))
    moment = sa.DateTime(timezone=True)
    op.add_column("projects", sa.Column("bytes_counted_at", moment, nullable=True, comment="when that was"))


def downgrade() -> None:
    op.drop_column("projects", "bytes_counted_at")
    op.drop_column("projects", "bytes_stored")
