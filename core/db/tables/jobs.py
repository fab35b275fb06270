"""Jobs: what changes with every heartbeat is apart from what is written once, and from the words to find them by."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.tables.base import SHA256, Base
from core.db.types import Document
from core.states import TERMINAL, Status

_STATUSES = ", ".join(f"'{status}'" for status in Status)
_TERMINAL = ", ".join(f"'{status}'" for status in Status if status in TERMINAL)


class Job(Base):
    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(f"status IN ({_STATUSES})", name="status"),
        CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name="lease"),
        CheckConstraint("(lease_until IS NULL) = (lease_owner IS NULL)", name="owner"),
        CheckConstraint(f"(status IN ({_TERMINAL})) = (finished_at IS NOT NULL)", name="finished"),
        CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="error"),
        CheckConstraint("status <> 'succeeded' OR result IS NOT NULL", name="result"),
        CheckConstraint("fence >= 0 AND crashes >= 0 AND batch >= 0 AND version > 0", name="counters"),
        CheckConstraint("metric_seq >= 0 AND announced_seq >= 0 AND event_seq >= 0", name="seqs"),
        # lists, newest first, by what they may be filtered by
        Index("ix_jobs_project_id", "project", "id"),
        Index("ix_jobs_project_status_id", "project", "status", "id"),
        Index("ix_jobs_project_dataset_id", "project", "dataset", "id"),
        Index(
            "ix_jobs_dataset_id_id",
            "dataset_id",
            "id",
            sqlite_where=text("dataset_id IS NOT NULL"),
            postgresql_where=text("dataset_id IS NOT NULL"),
        ),
        Index(
            "ix_jobs_claim",
            "queue",
            "queued_at",
            "id",
            sqlite_where=text("status = 'queued'"),
            postgresql_where=text("status = 'queued'"),
        ),
        Index(
            "ix_jobs_cohort",
            "queue",
            "cohort_key",
            "queued_at",
            "id",
            sqlite_where=text("status = 'queued'"),
            postgresql_where=text("status = 'queued'"),
        ),
        # the few jobs that are not over. No index has a column that a heartbeat or a batch of events writes, so that
        # these updates stay within their page (heap-only tuples), which has room for them
        Index(
            "ix_jobs_open",
            "status",
            "project",
            sqlite_where=text("finished_at IS NULL"),
            postgresql_where=text("finished_at IS NULL"),
        ),
        {"postgresql_with": {"fillfactor": 80}},
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="job_...")
    project: Mapped[str] = mapped_column(ForeignKey("projects.name"), comment="owner")
    name: Mapped[str] = mapped_column(comment="words for people")
    tags: Mapped[dict[str, Any]] = mapped_column(comment="words to find it by")
    parent: Mapped[str | None] = mapped_column(comment="the job that this one was cloned from; it may be gone")
    dataset: Mapped[str] = mapped_column(comment="data set as the spec names it")
    dataset_id: Mapped[str | None] = mapped_column(
        ForeignKey("datasets.id", ondelete="SET NULL"), comment="null: built in, or deleted since"
    )

    status: Mapped[str] = mapped_column(comment="core.states.Status")
    queue: Mapped[str] = mapped_column(comment="which workers may take it")
    created_at: Mapped[datetime] = mapped_column(comment="when it was submitted")
    changed_at: Mapped[datetime] = mapped_column(comment="time of the last transition; the next is not before it")
    queued_at: Mapped[datetime] = mapped_column(comment="place in the queue: first come, first served")
    not_before: Mapped[datetime] = mapped_column(comment="back-off after a crash")
    started_at: Mapped[datetime | None] = mapped_column(comment="first claim")
    finished_at: Mapped[datetime | None] = mapped_column(comment="set while the status is terminal")
    dispatched_at: Mapped[datetime] = mapped_column(comment="when a wake-up was last published")
    cohort_key: Mapped[str | None] = mapped_column(
        SHA256, comment="equal for jobs that may train together; null: alone (core.spec.cohorts)"
    )

    fence: Mapped[int] = mapped_column(
        default=0, comment="raised by each claim; a write that names another one is refused"
    )
    lease_owner: Mapped[str | None] = mapped_column(comment="the worker that holds it")
    lease_until: Mapped[datetime | None] = mapped_column(comment="by the database's clock; then anybody may requeue it")
    attempt_started_at: Mapped[datetime | None] = mapped_column(comment="the last claim")
    cohort_size: Mapped[int | None] = mapped_column(comment="jobs of the last claim, this one among them; null: alone")
    batch: Mapped[int] = mapped_column(default=0, comment="last batch of events that this fence has committed")
    crashes: Mapped[int] = mapped_column(default=0, comment="crashes since the last new checkpoint")
    cancel_requested_at: Mapped[datetime | None] = mapped_column(comment="asked of a running job")
    pause_requested_at: Mapped[datetime | None] = mapped_column(comment="asked of a running job")

    version: Mapped[int] = mapped_column(default=1, comment="raised with every change that can be seen")
    event_seq: Mapped[int] = mapped_column(default=0, comment="seq of the last event")
    metric_seq: Mapped[int] = mapped_column(default=0, comment="seq of the last row of the history")
    announced_seq: Mapped[int] = mapped_column(default=0, comment="greatest seq of a row that had an event")
    change_seq: Mapped[int] = mapped_column(
        default=0, server_default=text("0"), comment="number of the last change that was asked for"
    )
    progress: Mapped[dict[str, Any]] = mapped_column(comment="epoch, epochs, step, steps, eta_s, samples_per_s")
    result: Mapped[dict[str, Any] | None] = mapped_column(comment="best epoch and the test split's metrics")
    error: Mapped[dict[str, Any] | None] = mapped_column(comment="code, detail, pointer, hint, epoch")
    resume_exact: Mapped[bool | None] = mapped_column(
        comment="false: not bit for bit since a resume; null: never started"
    )
    resume_note: Mapped[str | None] = mapped_column(comment="why not")
    environment: Mapped[dict[str, Any] | None] = mapped_column(comment="what the last attempt ran on")
    last_checkpoint: Mapped[str | None] = mapped_column(comment="the one with the greatest step: where a resume starts")
    best_checkpoint: Mapped[str | None] = mapped_column(comment="by the monitored quantity")


class JobTag(Base):
    """A tag of a job in words that an index can hold: `jobs.tags` is what its user reads, this is how he finds it."""

    __tablename__ = "job_tags"
    __table_args__ = (
        Index("ix_job_tags_project_key_value_job_id", "project", "key", "value", "job_id"),
        Index("ix_job_tags_project_key_job_id", "project", "key", "job_id"),
    )

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, comment="the job")
    key: Mapped[str] = mapped_column(primary_key=True, comment="the tag's name")
    value: Mapped[str] = mapped_column(comment="its value")
    project: Mapped[str] = mapped_column(comment="the job's")


class JobSpecs(Base):
    __tablename__ = "job_specs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, comment="the job")
    submitted: Mapped[dict[str, Any]] = mapped_column(comment="the body as it was sent: what a clone patches")
    spec: Mapped[dict[str, Any]] = mapped_column(comment="resolved with every default: what is trained")
    schema: Mapped[dict[str, Any]] = mapped_column(comment="of the data set when the spec was checked")
    changes: Mapped[list[Any] | None] = mapped_column(Document, comment="in the order asked for; null: none yet")
    load: Mapped[dict[str, Any] | None] = mapped_column(comment="core.spec.cohorts.Load: bytes, operations, seconds")
