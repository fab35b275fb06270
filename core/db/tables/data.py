"""Blobs, each content once, and the data sets among them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.tables.base import SHA256, Base


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
