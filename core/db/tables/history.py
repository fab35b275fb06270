"""What a job came to on its way: attempts, events, rows, checkpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.db.tables.base import SHA256, Base


class Attempt(Base):
    __tablename__ = "attempts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, comment="the job")
    fence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="of its claim")
    worker: Mapped[str] = mapped_column(comment="who held it")
    started_at: Mapped[datetime] = mapped_column(comment="time of the claim")
    ended_at: Mapped[datetime | None] = mapped_column(comment="null: not over")
    outcome: Mapped[str | None] = mapped_column(comment="succeeded, failed, cancelled, paused, handed_back, crashed")
    reason: Mapped[str | None] = mapped_column(comment="how it crashed")


class JobEvent(Base):
    __tablename__ = "job_events"
    __table_args__ = (
        CheckConstraint("type IN ('status', 'metrics', 'checkpoint', 'warning', 'log', 'change')", name="type"),
        Index("ix_job_events_job_id_type", "job_id", "type", "seq"),
    )

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, comment="the job")
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="1, 2, 3, ...; never taken back")
    type: Mapped[str] = mapped_column(comment="what `data` is")
    time: Mapped[datetime] = mapped_column(comment="when it was recorded")
    data: Mapped[dict[str, Any]] = mapped_column(comment="as told to the user")


class Metric(Base):
    """Written while the job's row is held locked, and deleted with it: PostgreSQL need not look each row's job up."""

    __tablename__ = "metrics"
    __table_args__ = (ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE").ddl_if(dialect="sqlite"),)

    job_id: Mapped[str] = mapped_column(primary_key=True, comment="the job")
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="1, 2, 3, ... without holes")
    epoch: Mapped[int] = mapped_column(comment="epochs begun")
    step: Mapped[int] = mapped_column(comment="optimizer steps done")
    time: Mapped[datetime] = mapped_column(comment="by the runner's clock")
    values: Mapped[dict[str, Any]] = mapped_column(comment="name -> number, or null when it is not finite")
    non_finite: Mapped[list[Any]] = mapped_column(comment="names of the numbers that are not finite")
    fold: Mapped[int | None] = mapped_column(comment="0 to k - 1; null: no folds")


class Checkpoint(Base):
    __tablename__ = "checkpoints"
    __table_args__ = (Index("ix_checkpoints_job_id_step", "job_id", "step"),)

    id: Mapped[str] = mapped_column(primary_key=True, comment="ckpt_...")
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), comment="the job")
    fence: Mapped[int] = mapped_column(comment="of the claim that wrote it")
    epoch: Mapped[int] = mapped_column(comment="epochs begun")
    step: Mapped[int] = mapped_column(comment="optimizer steps done")
    end_of_epoch: Mapped[bool] = mapped_column(comment="false: taken in the middle, kept until there is a newer one")
    monitor: Mapped[str | None] = mapped_column(comment="the quantity that the best is judged by")
    monitor_value: Mapped[float | None] = mapped_column(comment="and its value here")
    content_sha256: Mapped[str] = mapped_column(SHA256, ForeignKey("blobs.sha256"), index=True, comment="the model")
    content_bytes: Mapped[int] = mapped_column(comment="length of the model's file")
    state_sha256: Mapped[str] = mapped_column(
        SHA256,
        ForeignKey("blobs.sha256"),
        index=True,
        comment="optimizer, random states, position: what a resume needs",
    )
    state_bytes: Mapped[int] = mapped_column(comment="length of the state's file")
    created_at: Mapped[datetime] = mapped_column(comment="when it was stored")
