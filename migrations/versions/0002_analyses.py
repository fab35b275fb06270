"""Analyses of checkpoints and experiments of the lab: a row is the question, its answer a blob."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SHA256 = sa.String(64)
TIME = sa.DateTime(timezone=True)
NOT_FAILED = sa.text("status <> 'failed'")


def upgrade() -> None:
    op.create_table("analyses", *_asked(), *_answered(), *_checks())
    for column in ("content_sha256", "created_at", "data_sha256", "worker"):
        op.create_index(f"ix_analyses_{column}", "analyses", [column])
    op.create_index("ix_analyses_job_id_id", "analyses", ["job_id", "id"])
    op.create_index("ix_analyses_status_id", "analyses", ["status", "id"])
    op.create_index(
        "uq_analyses_project_key",
        "analyses",
        ["project", "key"],
        unique=True,
        sqlite_where=NOT_FAILED,
        postgresql_where=NOT_FAILED,
    )


def downgrade() -> None:
    op.drop_table("analyses")


def _asked() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.Text, primary_key=True, comment="ana_..."),
        sa.Column("project", sa.Text, sa.ForeignKey("projects.name"), nullable=False, comment="owner"),
        sa.Column(
            "job_id",
            sa.Text,
            sa.ForeignKey("jobs.id", ondelete="CASCADE"),
            nullable=True,
            comment="whose checkpoint is analysed; null: an experiment of the lab",
        ),
        sa.Column("checkpoint_id", sa.Text, nullable=True, comment="which; it may be gone by now"),
        sa.Column("type", sa.Text, nullable=False, comment="confusion, roc, ...; of the lab: optimizers, init"),
        sa.Column("request", sa.JSON, nullable=False, comment="what was asked, with every default"),
        sa.Column("key", SHA256, nullable=False, comment="of checkpoint and request: the same is answered once"),
        sa.Column(
            "training",
            sa.JSON,
            nullable=True,
            comment="spec, schema and dataset_id of an experiment on a network; a job has its own",
        ),
    ]


def _answered() -> list[sa.Column[object]]:
    return [
        sa.Column(
            "content_sha256",
            SHA256,
            sa.ForeignKey("blobs.sha256"),
            nullable=True,
            comment="the model, held until there is an answer",
        ),
        sa.Column("status", sa.Text, nullable=False, comment="queued, running, succeeded, failed"),
        sa.Column("worker", sa.Text, nullable=True, comment="who computes it"),
        sa.Column("lease_until", TIME, nullable=True, comment="then another worker may take it"),
        sa.Column(
            "fence",
            sa.BigInteger,
            nullable=False,
            comment="raised by each worker that takes it; an older one may not answer",
        ),
        sa.Column("crashes", sa.BigInteger, nullable=False, comment="processes and workers that died over it"),
        sa.Column(
            "data_sha256", SHA256, sa.ForeignKey("blobs.sha256"), nullable=True, comment="the answer: JSON, gzipped"
        ),
        sa.Column("error", sa.JSON, nullable=True, comment="code, detail, hint, errors"),
        sa.Column("created_at", TIME, nullable=False, comment="when it was asked"),
        sa.Column("finished_at", TIME, nullable=True, comment="when it was answered or refused"),
    ]


def _checks() -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed')", name="status"),
        sa.CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name="lease"),
        sa.CheckConstraint("(lease_until IS NULL) = (worker IS NULL)", name="owner"),
        sa.CheckConstraint("(status IN ('succeeded', 'failed')) = (finished_at IS NOT NULL)", name="finished"),
        sa.CheckConstraint("(status = 'succeeded') = (data_sha256 IS NOT NULL)", name="data"),
        sa.CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="error"),
        sa.CheckConstraint("(job_id IS NULL) = (checkpoint_id IS NULL)", name="checkpoint"),
        sa.CheckConstraint("fence >= 0 AND crashes >= 0", name="counters"),
    ]
