"""Projects, what they have used, their keys, and the answers that are kept for a repeated request."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.tables.base import SHA256, Base


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
