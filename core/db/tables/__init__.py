"""Where state lives. Invariants stand in the schema: CHECK constraints, foreign keys and a comment on each column.

What is read and written with every heartbeat (`jobs`) is apart from what is written once (`job_specs`).
Blobs are shared by content: every column that holds a blob's sha256 has a foreign key to `blobs`, so that
one which is still referenced cannot be deleted, whoever races with whom.
"""

from core.db.tables.accounts import AccountEntry, ApiKey, IdempotencyKey, Project
from core.db.tables.answers import Analysis, Question, Worker
from core.db.tables.base import SHA256, Base
from core.db.tables.data import Blob, BlobChunk, Dataset
from core.db.tables.history import Attempt, Checkpoint, JobEvent, Metric
from core.db.tables.jobs import Job, JobSpecs, JobTag

__all__ = [
    "SHA256",
    "AccountEntry",
    "Analysis",
    "ApiKey",
    "Attempt",
    "Base",
    "Blob",
    "BlobChunk",
    "Checkpoint",
    "Dataset",
    "IdempotencyKey",
    "Job",
    "JobEvent",
    "JobSpecs",
    "JobTag",
    "Metric",
    "Project",
    "Question",
    "Worker",
]
