"""What is asked of trained networks, and the workers that answer and train."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.tables.base import SHA256, Base


class Question(Base):
    __tablename__ = "questions"
    __table_args__ = (
        CheckConstraint("kind IN ('predict', 'export')", name="kind"),
        CheckConstraint("status IN ('queued', 'running', 'done', 'failed')", name="status"),
        Index("ix_questions_status_id", "status", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="pred_...")
    project: Mapped[str] = mapped_column(ForeignKey("projects.name"), comment="owner")
    kind: Mapped[str] = mapped_column(comment="predict or export")
    job_id: Mapped[str] = mapped_column(comment="the job whose model answers")
    checkpoint_id: Mapped[str] = mapped_column(
        ForeignKey("checkpoints.id", ondelete="CASCADE"), index=True, comment="the weights that answer"
    )
    request: Mapped[dict[str, Any]] = mapped_column(comment="rows or inputs and output; or format")
    status: Mapped[str] = mapped_column(comment="queued, running, done, failed")
    worker: Mapped[str | None] = mapped_column(comment="who took it")
    lease_until: Mapped[datetime | None] = mapped_column(comment="then another worker may take it")
    answer: Mapped[dict[str, Any] | None] = mapped_column(comment="as told to the user")
    error: Mapped[dict[str, Any] | None] = mapped_column(comment="kind, code, detail, hint, errors")
    sha256: Mapped[str | None] = mapped_column(
        SHA256, ForeignKey("blobs.sha256"), index=True, comment="an export's file"
    )
    bytes: Mapped[int | None] = mapped_column(comment="length of an export's file")
    created_at: Mapped[datetime] = mapped_column(index=True, comment="when it was asked")


class Analysis(Base):
    __tablename__ = "analyses"
    __table_args__ = (
        CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed')", name="status"),
        CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name="lease"),
        CheckConstraint("(lease_until IS NULL) = (worker IS NULL)", name="owner"),
        CheckConstraint("(status IN ('succeeded', 'failed')) = (finished_at IS NOT NULL)", name="finished"),
        CheckConstraint("(status = 'succeeded') = (data_sha256 IS NOT NULL)", name="data"),
        CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="error"),
        CheckConstraint("(job_id IS NULL) = (checkpoint_id IS NULL)", name="checkpoint"),
        CheckConstraint("fence >= 0 AND crashes >= 0", name="counters"),
        Index("ix_analyses_job_id_id", "job_id", "id"),
        Index("ix_analyses_status_id", "status", "id"),
        # what is there or under way is never computed beside itself; what failed may be asked for again
        Index(
            "uq_analyses_project_key",
            "project",
            "key",
            unique=True,
            sqlite_where=text("status <> 'failed'"),
            postgresql_where=text("status <> 'failed'"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="ana_...")
    project: Mapped[str] = mapped_column(ForeignKey("projects.name"), comment="owner")
    job_id: Mapped[str | None] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"),
        comment="whose checkpoint is analysed; null: an experiment of the lab",
    )
    checkpoint_id: Mapped[str | None] = mapped_column(comment="which; it may be gone by now")
    type: Mapped[str] = mapped_column(comment="confusion, roc, ...; of the lab: optimizers, init")
    request: Mapped[dict[str, Any]] = mapped_column(comment="what was asked, with every default")
    key: Mapped[str] = mapped_column(SHA256, comment="of checkpoint and request: the same is answered once")
    training: Mapped[dict[str, Any] | None] = mapped_column(
        comment="spec, schema and dataset_id of an experiment on a network; a job has its own"
    )
    content_sha256: Mapped[str | None] = mapped_column(
        SHA256, ForeignKey("blobs.sha256"), index=True, comment="the model, held until there is an answer"
    )
    status: Mapped[str] = mapped_column(comment="queued, running, succeeded, failed")
    worker: Mapped[str | None] = mapped_column(index=True, comment="who computes it")
    lease_until: Mapped[datetime | None] = mapped_column(comment="then another worker may take it")
    fence: Mapped[int] = mapped_column(
        default=0, comment="raised by each worker that takes it; an older one may not answer"
    )
    crashes: Mapped[int] = mapped_column(default=0, comment="processes and workers that died over it")
    data_sha256: Mapped[str | None] = mapped_column(
        SHA256, ForeignKey("blobs.sha256"), index=True, comment="the answer: JSON, gzipped"
    )
    error: Mapped[dict[str, Any] | None] = mapped_column(comment="code, detail, hint, errors")
    created_at: Mapped[datetime] = mapped_column(index=True, comment="when it was asked")
    finished_at: Mapped[datetime | None] = mapped_column(comment="when it was answered or refused")


class Worker(Base):
    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True, comment="the same after a restart")
    queue: Mapped[str] = mapped_column(comment="what it takes")
    slots: Mapped[int] = mapped_column(Integer, comment="runners at once")
    started_at: Mapped[datetime] = mapped_column(comment="first seen since its start")
    seen_at: Mapped[datetime] = mapped_column(comment="last sign of life, by the database's clock")
    info: Mapped[dict[str, Any]] = mapped_column(comment="versions and host")
