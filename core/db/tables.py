"""Where state lives. Invariants stand in the schema: CHECK constraints, foreign keys and a comment on each column.

What is read and written with every heartbeat (`jobs`) is apart from what is written once (`job_specs`).
Blobs are shared by content: every column that holds a blob's sha256 has a foreign key to `blobs`, so that
one which is still referenced cannot be deleted, whoever races with whom.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.db.types import Document, UtcTime
from core.states import TERMINAL, Status

SHA256 = String(64)
_STATUSES = ", ".join(f"'{status}'" for status in Status)
_TERMINAL = ", ".join(f"'{status}'" for status in Status if status in TERMINAL)


class Base(DeclarativeBase):
    """All tables of the service."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: BigInteger,
        float: Float,
        bool: Boolean,
        datetime: UtcTime,
        dict[str, Any]: Document,
        list[Any]: JSON,
    }


class Project(Base):
    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(primary_key=True, comment="what keys, jobs and data sets belong to")
    created_at: Mapped[datetime] = mapped_column(comment="when it was first named")
    seconds_trained: Mapped[float] = mapped_column(default=0.0, comment="seconds of all attempts, deleted jobs' too")
    jobs_succeeded: Mapped[int] = mapped_column(
        default=0, server_default=text("0"), comment="jobs that are over, counted as they end: to count rows takes long"
    )
    jobs_failed: Mapped[int] = mapped_column(default=0, server_default=text("0"), comment="the same, failed")
    jobs_cancelled: Mapped[int] = mapped_column(default=0, server_default=text("0"), comment="the same, cancelled")
    bytes_stored: Mapped[int | None] = mapped_column(comment="of its blobs, as last counted; null: never, they are few")
    bytes_counted_at: Mapped[datetime | None] = mapped_column(comment="when that was")


class AccountEntry(Base):
    """What is to be added to a project's row. Added there at once, all who end a job would wait for one another."""

    __tablename__ = "account_entries"
    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, comment="in the order of entry"
    )
    project: Mapped[str] = mapped_column(comment="whose account")
    seconds_trained: Mapped[float] = mapped_column(default=0.0, comment="of an attempt that has ended")
    jobs_succeeded: Mapped[int] = mapped_column(
        default=0, comment="1: one more is over so; -1: one goes on, or is gone"
    )
    jobs_failed: Mapped[int] = mapped_column(default=0, comment="the same")
    jobs_cancelled: Mapped[int] = mapped_column(default=0, comment="the same")


class ApiKey(Base):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True, comment="key_...; a part of the token, so that logs can name it")
    project: Mapped[str] = mapped_column(ForeignKey("projects.name"), index=True, comment="what it opens")
    name: Mapped[str] = mapped_column(comment="words for people")
    token_sha256: Mapped[str] = mapped_column(
        SHA256, unique=True, comment="of the whole token, which is stored nowhere"
    )
    scopes: Mapped[list[Any]] = mapped_column(comment="read, write, admin")
    created_at: Mapped[datetime] = mapped_column(comment="when it was made")
    expires_at: Mapped[datetime | None] = mapped_column(comment="from when on it is refused")
    revoked_at: Mapped[datetime | None] = mapped_column(comment="since when it is refused")


class Blob(Base):
    __tablename__ = "blobs"
    __table_args__ = (
        CheckConstraint("bytes >= 0", name="bytes"),
        Index("ix_blobs_loose", "touched_at", sqlite_where=text("loose = 1"), postgresql_where=text("loose")),
    )

    sha256: Mapped[str] = mapped_column(
        SHA256, primary_key=True, comment="of the content; the same content is stored once"
    )
    bytes: Mapped[int] = mapped_column(comment="length of the content")
    location: Mapped[str] = mapped_column(
        comment="'database', or a path under the storage folder that no other blob ever had"
    )
    chunk_bytes: Mapped[int] = mapped_column(comment="length of each chunk but the last; 0 outside of the database")
    complete: Mapped[bool] = mapped_column(comment="false: being staged, or found damaged; the next put writes it anew")
    touched_at: Mapped[datetime] = mapped_column(comment="last put; a blob without references may go an hour later")
    loose: Mapped[bool] = mapped_column(
        default=False,
        server_default=false(),
        comment="true: it may have no reference, having been staged or let go; garbage is looked for among these",
    )


class BlobChunk(Base):
    __tablename__ = "blob_chunks"

    sha256: Mapped[str] = mapped_column(
        SHA256, ForeignKey("blobs.sha256", ondelete="CASCADE"), primary_key=True, comment="the blob"
    )
    n: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False, comment="0, 1, 2, ...")
    data: Mapped[bytes] = mapped_column(LargeBinary, comment="the bytes from n * chunk_bytes on")


class Dataset(Base):
    __tablename__ = "datasets"
    __table_args__ = (
        UniqueConstraint("project", "name"),
        CheckConstraint("kind IN ('table', 'arrays')", name="kind"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="ds_...")
    project: Mapped[str] = mapped_column(ForeignKey("projects.name"), comment="owner")
    name: Mapped[str] = mapped_column(comment="what specs call it")
    kind: Mapped[str] = mapped_column(comment="table or arrays")
    sha256: Mapped[str] = mapped_column(SHA256, ForeignKey("blobs.sha256"), index=True, comment="the canonical file")
    bytes: Mapped[int] = mapped_column(comment="length of the canonical file")
    rows: Mapped[int] = mapped_column(comment="number of samples")
    schema: Mapped[dict[str, Any]] = mapped_column(comment="core.spec.dataset.DatasetSchema")
    profile: Mapped[dict[str, Any]] = mapped_column(deferred=True, comment="statistics and histogram of each column")
    preview: Mapped[list[Any]] = mapped_column(deferred=True, comment="the first rows")
    created_at: Mapped[datetime] = mapped_column(comment="when it was uploaded")


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
    __tablename__ = "metrics"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, comment="the job")
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


class IdempotencyKey(Base):
    __tablename__ = "idempotency_keys"
    __table_args__ = (CheckConstraint("(status_code IS NULL) = (body IS NULL)", name="answer"),)

    project: Mapped[str] = mapped_column(ForeignKey("projects.name"), primary_key=True, comment="whose key")
    key: Mapped[str] = mapped_column(primary_key=True, comment="the header Idempotency-Key")
    request_hash: Mapped[str] = mapped_column(SHA256, comment="of method, path and body")
    locked_at: Mapped[datetime] = mapped_column(comment="when its request began")
    status_code: Mapped[int | None] = mapped_column(comment="of the stored answer; null: under way")
    body: Mapped[str | None] = mapped_column(comment="of the stored answer")
    headers: Mapped[dict[str, Any] | None] = mapped_column(comment="of the stored answer")
    created_at: Mapped[datetime] = mapped_column(index=True, comment="the answer is kept for a day from then on")


class Worker(Base):
    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True, comment="the same after a restart")
    queue: Mapped[str] = mapped_column(comment="what it takes")
    slots: Mapped[int] = mapped_column(Integer, comment="runners at once")
    started_at: Mapped[datetime] = mapped_column(comment="first seen since its start")
    seen_at: Mapped[datetime] = mapped_column(comment="last sign of life, by the database's clock")
    info: Mapped[dict[str, Any]] = mapped_column(comment="versions and host")
