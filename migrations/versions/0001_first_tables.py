"""The first tables: projects and keys, blobs, data sets, jobs with all that they record, questions, workers."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SHA256 = sa.String(64)
TIME = sa.DateTime(timezone=True)
TABLES = (
    "projects",
    "api_keys",
    "blobs",
    "blob_chunks",
    "datasets",
    "jobs",
    "job_specs",
    "attempts",
    "job_events",
    "metrics",
    "checkpoints",
    "questions",
    "idempotency_keys",
    "workers",
)


def upgrade() -> None:
    _make_projects()
    _make_api_keys()
    _make_blobs()
    _make_blob_chunks()
    _make_datasets()
    _make_jobs()
    _make_job_specs()
    _make_attempts()
    _make_job_events()
    _make_metrics()
    _make_checkpoints()
    _make_questions()
    _make_idempotency_keys()
    _make_workers()
    if op.get_bind().dialect.name == "postgresql":
        # weights do not compress: PostgreSQL need not try on each chunk
        op.execute("ALTER TABLE blob_chunks ALTER COLUMN data SET STORAGE EXTERNAL")
    projects = sa.table("projects", sa.column("name"), sa.column("created_at", TIME), sa.column("seconds_trained"))
    moment = datetime.now(UTC) if op.get_bind().dialect.name == "postgresql" else datetime.now(UTC).replace(tzinfo=None)
    op.bulk_insert(projects, [{"name": "default", "created_at": moment, "seconds_trained": 0.0}])


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _make_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("name", sa.Text, primary_key=True, comment="what keys, jobs and data sets belong to"),
        sa.Column("created_at", TIME, nullable=False, comment="when it was first named"),
        sa.Column("seconds_trained", sa.Float, nullable=False, comment="seconds of all attempts, deleted jobs' too"),
    )


def _make_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True, comment="key_...; a part of the token, so that logs can name it"),
        sa.Column("project", sa.Text, sa.ForeignKey("projects.name"), nullable=False, comment="what it opens"),
        sa.Column("name", sa.Text, nullable=False, comment="words for people"),
        sa.Column("token_sha256", SHA256, nullable=False, comment="of the whole token, which is stored nowhere"),
        sa.Column("scopes", sa.JSON, nullable=False, comment="read, write, admin"),
        sa.Column("created_at", TIME, nullable=False, comment="when it was made"),
        sa.Column("expires_at", TIME, nullable=True, comment="from when on it is refused"),
        sa.Column("revoked_at", TIME, nullable=True, comment="since when it is refused"),
        sa.UniqueConstraint("token_sha256"),
    )
    op.create_index("ix_api_keys_project", "api_keys", ["project"])


def _make_blobs() -> None:
    op.create_table(
        "blobs",
        sa.Column("sha256", SHA256, primary_key=True, comment="of the content; the same content is stored once"),
        sa.Column("bytes", sa.BigInteger, nullable=False, comment="length of the content"),
        sa.Column(
            "location",
            sa.Text,
            nullable=False,
            comment="'database', or a path under the storage folder that no other blob ever had",
        ),
        sa.Column(
            "chunk_bytes",
            sa.BigInteger,
            nullable=False,
            comment="length of each chunk but the last; 0 outside of the database",
        ),
        sa.Column(
            "complete",
            sa.Boolean,
            nullable=False,
            comment="false: being staged, or found damaged; the next put writes it anew",
        ),
        sa.Column(
            "touched_at", TIME, nullable=False, comment="last put; a blob without references may go an hour later"
        ),
        sa.CheckConstraint("bytes >= 0", name="bytes"),
    )
    op.create_index("ix_blobs_touched_at", "blobs", ["touched_at"])


def _make_blob_chunks() -> None:
    op.create_table(
        "blob_chunks",
        sa.Column(
            "sha256", SHA256, sa.ForeignKey("blobs.sha256", ondelete="CASCADE"), primary_key=True, comment="the blob"
        ),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False, comment="0, 1, 2, ..."),
        sa.Column("data", sa.LargeBinary, nullable=False, comment="the bytes from n * chunk_bytes on"),
    )


def _make_datasets() -> None:
    op.create_table(
        "datasets",
        sa.Column("id", sa.Text, primary_key=True, comment="ds_..."),
        sa.Column("project", sa.Text, sa.ForeignKey("projects.name"), nullable=False, comment="owner"),
        sa.Column("name", sa.Text, nullable=False, comment="what specs call it"),
        sa.Column("kind", sa.Text, nullable=False, comment="table or arrays"),
        sa.Column("sha256", SHA256, sa.ForeignKey("blobs.sha256"), nullable=False, comment="the canonical file"),
        sa.Column("bytes", sa.BigInteger, nullable=False, comment="length of the canonical file"),
        sa.Column("rows", sa.BigInteger, nullable=False, comment="number of samples"),
        sa.Column("schema", sa.JSON, nullable=False, comment="core.spec.dataset.DatasetSchema"),
        sa.Column("profile", sa.JSON, nullable=False, comment="statistics and histogram of each column"),
        sa.Column("preview", sa.JSON, nullable=False, comment="the first rows"),
        sa.Column("created_at", TIME, nullable=False, comment="when it was uploaded"),
        sa.CheckConstraint("kind IN ('table', 'arrays')", name="kind"),
        sa.UniqueConstraint("project", "name"),
    )
    op.create_index("ix_datasets_sha256", "datasets", ["sha256"])


def _make_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text, primary_key=True, comment="job_..."),
        sa.Column("project", sa.Text, sa.ForeignKey("projects.name"), nullable=False, comment="owner"),
        sa.Column("name", sa.Text, nullable=False, comment="words for people"),
        sa.Column("tags", sa.JSON, nullable=False, comment="words to find it by"),
        sa.Column("parent", sa.Text, nullable=True, comment="the job that this one was cloned from; it may be gone"),
        sa.Column("dataset", sa.Text, nullable=False, comment="data set as the spec names it"),
        sa.Column(
            "dataset_id",
            sa.Text,
            sa.ForeignKey("datasets.id", ondelete="SET NULL"),
            nullable=True,
            comment="null: built in, or deleted since",
        ),
        sa.Column("status", sa.Text, nullable=False, comment="core.states.Status"),
        sa.Column("queue", sa.Text, nullable=False, comment="which workers may take it"),
        sa.Column("created_at", TIME, nullable=False, comment="when it was submitted"),
        sa.Column("changed_at", TIME, nullable=False, comment="time of the last transition; the next is not before it"),
        sa.Column("queued_at", TIME, nullable=False, comment="place in the queue: first come, first served"),
        sa.Column("not_before", TIME, nullable=False, comment="back-off after a crash"),
        sa.Column("started_at", TIME, nullable=True, comment="first claim"),
        sa.Column("finished_at", TIME, nullable=True, comment="set while the status is terminal"),
        sa.Column("dispatched_at", TIME, nullable=False, comment="when a wake-up was last published"),
        sa.Column(
            "fence",
            sa.BigInteger,
            nullable=False,
            comment="raised by each claim; a write that names another one is refused",
        ),
        sa.Column("lease_owner", sa.Text, nullable=True, comment="the worker that holds it"),
        sa.Column("lease_until", TIME, nullable=True, comment="by the database's clock; then anybody may requeue it"),
        sa.Column("attempt_started_at", TIME, nullable=True, comment="the last claim"),
        sa.Column("batch", sa.BigInteger, nullable=False, comment="last batch of events that this fence has committed"),
        sa.Column("crashes", sa.BigInteger, nullable=False, comment="crashes since the last new checkpoint"),
        sa.Column("cancel_requested_at", TIME, nullable=True, comment="asked of a running job"),
        sa.Column("pause_requested_at", TIME, nullable=True, comment="asked of a running job"),
        sa.Column("version", sa.BigInteger, nullable=False, comment="raised with every change that can be seen"),
        sa.Column("event_seq", sa.BigInteger, nullable=False, comment="seq of the last event"),
        sa.Column("metric_seq", sa.BigInteger, nullable=False, comment="seq of the last row of the history"),
        sa.Column("announced_seq", sa.BigInteger, nullable=False, comment="greatest seq of a row that had an event"),
        sa.Column("progress", sa.JSON, nullable=False, comment="epoch, epochs, step, steps, eta_s, samples_per_s"),
        sa.Column("result", sa.JSON, nullable=True, comment="best epoch and the test split's metrics"),
        sa.Column("error", sa.JSON, nullable=True, comment="code, detail, pointer, hint, epoch"),
        sa.Column(
            "resume_exact",
            sa.Boolean,
            nullable=True,
            comment="false: not bit for bit since a resume; null: never started",
        ),
        sa.Column("resume_note", sa.Text, nullable=True, comment="why not"),
        sa.Column("environment", sa.JSON, nullable=True, comment="what the last attempt ran on"),
        sa.Column(
            "last_checkpoint", sa.Text, nullable=True, comment="the one with the greatest step: where a resume starts"
        ),
        sa.Column("best_checkpoint", sa.Text, nullable=True, comment="by the monitored quantity"),
        sa.CheckConstraint("fence >= 0 AND crashes >= 0 AND batch >= 0 AND version > 0", name="counters"),
        sa.CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="error"),
        sa.CheckConstraint(
            "(status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)", name="finished"
        ),
        sa.CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name="lease"),
        sa.CheckConstraint("(lease_until IS NULL) = (lease_owner IS NULL)", name="owner"),
        sa.CheckConstraint("status <> 'succeeded' OR result IS NOT NULL", name="result"),
        sa.CheckConstraint("metric_seq >= 0 AND announced_seq >= 0 AND event_seq >= 0", name="seqs"),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')", name="status"
        ),
    )
    where = sa.text("status = 'queued'")
    op.create_index("ix_jobs_claim", "jobs", ["queue", "queued_at", "id"], sqlite_where=where, postgresql_where=where)
    op.create_index("ix_jobs_dataset_id", "jobs", ["dataset_id"])
    where = sa.text("status = 'running'")
    op.create_index("ix_jobs_lease", "jobs", ["lease_until"], sqlite_where=where, postgresql_where=where)
    op.create_index("ix_jobs_lease_owner", "jobs", ["lease_owner"])
    op.create_index("ix_jobs_project_id", "jobs", ["project", "id"])


def _make_job_specs() -> None:
    op.create_table(
        "job_specs",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, comment="the job"),
        sa.Column("submitted", sa.JSON, nullable=False, comment="the body as it was sent: what a clone patches"),
        sa.Column("spec", sa.JSON, nullable=False, comment="resolved with every default: what is trained"),
        sa.Column("schema", sa.JSON, nullable=False, comment="of the data set when the spec was checked"),
    )


def _make_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, comment="the job"),
        sa.Column("fence", sa.BigInteger, primary_key=True, autoincrement=False, comment="of its claim"),
        sa.Column("worker", sa.Text, nullable=False, comment="who held it"),
        sa.Column("started_at", TIME, nullable=False, comment="time of the claim"),
        sa.Column("ended_at", TIME, nullable=True, comment="null: not over"),
        sa.Column(
            "outcome", sa.Text, nullable=True, comment="succeeded, failed, cancelled, paused, handed_back, crashed"
        ),
        sa.Column("reason", sa.Text, nullable=True, comment="how it crashed"),
    )


def _make_job_events() -> None:
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, comment="the job"),
        sa.Column(
            "seq", sa.BigInteger, primary_key=True, autoincrement=False, comment="1, 2, 3, ...; never taken back"
        ),
        sa.Column("type", sa.Text, nullable=False, comment="what `data` is"),
        sa.Column("time", TIME, nullable=False, comment="when it was recorded"),
        sa.Column("data", sa.JSON, nullable=False, comment="as told to the user"),
        sa.CheckConstraint("type IN ('status', 'metrics', 'checkpoint', 'warning', 'log')", name="type"),
    )
    op.create_index("ix_job_events_job_id_type", "job_events", ["job_id", "type", "seq"])


def _make_metrics() -> None:
    op.create_table(
        "metrics",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, comment="the job"),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False, comment="1, 2, 3, ... without holes"),
        sa.Column("epoch", sa.BigInteger, nullable=False, comment="epochs begun"),
        sa.Column("step", sa.BigInteger, nullable=False, comment="optimizer steps done"),
        sa.Column("time", TIME, nullable=False, comment="by the runner's clock"),
        sa.Column("values", sa.JSON, nullable=False, comment="name -> number, or null when it is not finite"),
        sa.Column("non_finite", sa.JSON, nullable=False, comment="names of the numbers that are not finite"),
    )


def _make_checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.Text, primary_key=True, comment="ckpt_..."),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, comment="the job"),
        sa.Column("fence", sa.BigInteger, nullable=False, comment="of the claim that wrote it"),
        sa.Column("epoch", sa.BigInteger, nullable=False, comment="epochs begun"),
        sa.Column("step", sa.BigInteger, nullable=False, comment="optimizer steps done"),
        sa.Column(
            "end_of_epoch",
            sa.Boolean,
            nullable=False,
            comment="false: taken in the middle, kept until there is a newer one",
        ),
        sa.Column("monitor", sa.Text, nullable=True, comment="the quantity that the best is judged by"),
        sa.Column("monitor_value", sa.Float, nullable=True, comment="and its value here"),
        sa.Column("content_sha256", SHA256, sa.ForeignKey("blobs.sha256"), nullable=False, comment="the model"),
        sa.Column("content_bytes", sa.BigInteger, nullable=False, comment="length of the model's file"),
        sa.Column(
            "state_sha256",
            SHA256,
            sa.ForeignKey("blobs.sha256"),
            nullable=False,
            comment="optimizer, random states, position: what a resume needs",
        ),
        sa.Column("state_bytes", sa.BigInteger, nullable=False, comment="length of the state's file"),
        sa.Column("created_at", TIME, nullable=False, comment="when it was stored"),
    )
    op.create_index("ix_checkpoints_content_sha256", "checkpoints", ["content_sha256"])
    op.create_index("ix_checkpoints_job_id_step", "checkpoints", ["job_id", "step"])
    op.create_index("ix_checkpoints_state_sha256", "checkpoints", ["state_sha256"])


def _make_questions() -> None:
    op.create_table(
        "questions",
        sa.Column("id", sa.Text, primary_key=True, comment="pred_..."),
        sa.Column("project", sa.Text, sa.ForeignKey("projects.name"), nullable=False, comment="owner"),
        sa.Column("kind", sa.Text, nullable=False, comment="predict or export"),
        sa.Column("job_id", sa.Text, nullable=False, comment="the job whose model answers"),
        sa.Column(
            "checkpoint_id",
            sa.Text,
            sa.ForeignKey("checkpoints.id", ondelete="CASCADE"),
            nullable=False,
            comment="the weights that answer",
        ),
        sa.Column("request", sa.JSON, nullable=False, comment="rows or inputs and output; or format"),
        sa.Column("status", sa.Text, nullable=False, comment="queued, running, done, failed"),
        sa.Column("worker", sa.Text, nullable=True, comment="who took it"),
        sa.Column("lease_until", TIME, nullable=True, comment="then another worker may take it"),
        sa.Column("answer", sa.JSON, nullable=True, comment="as told to the user"),
        sa.Column("error", sa.JSON, nullable=True, comment="kind, code, detail, hint, errors"),
        sa.Column("sha256", SHA256, sa.ForeignKey("blobs.sha256"), nullable=True, comment="an export's file"),
        sa.Column("bytes", sa.BigInteger, nullable=True, comment="length of an export's file"),
        sa.Column("created_at", TIME, nullable=False, comment="when it was asked"),
        sa.CheckConstraint("kind IN ('predict', 'export')", name="kind"),
        sa.CheckConstraint("status IN ('queued', 'running', 'done', 'failed')", name="status"),
    )
    op.create_index("ix_questions_checkpoint_id", "questions", ["checkpoint_id"])
    op.create_index("ix_questions_created_at", "questions", ["created_at"])
    op.create_index("ix_questions_sha256", "questions", ["sha256"])
    op.create_index("ix_questions_status_id", "questions", ["status", "id"])


def _make_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("project", sa.Text, sa.ForeignKey("projects.name"), primary_key=True, comment="whose key"),
        sa.Column("key", sa.Text, primary_key=True, comment="the header Idempotency-Key"),
        sa.Column("request_hash", SHA256, nullable=False, comment="of method, path and body"),
        sa.Column("locked_at", TIME, nullable=False, comment="when its request began"),
        sa.Column("status_code", sa.BigInteger, nullable=True, comment="of the stored answer; null: under way"),
        sa.Column("body", sa.Text, nullable=True, comment="of the stored answer"),
        sa.Column("headers", sa.JSON, nullable=True, comment="of the stored answer"),
        sa.Column("created_at", TIME, nullable=False, comment="the answer is kept for a day from then on"),
        sa.CheckConstraint("(status_code IS NULL) = (body IS NULL)", name="answer"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def _make_workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Text, primary_key=True, comment="the same after a restart"),
        sa.Column("queue", sa.Text, nullable=False, comment="what it takes"),
        sa.Column("slots", sa.Integer, nullable=False, comment="runners at once"),
        sa.Column("started_at", TIME, nullable=False, comment="first seen since its start"),
        sa.Column("seen_at", TIME, nullable=False, comment="last sign of life, by the database's clock"),
        sa.Column("info", sa.JSON, nullable=False, comment="versions and host"),
    )
