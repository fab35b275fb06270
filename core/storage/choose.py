"""From the operator's words to a place for blobs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.db.session import Sessions
from core.storage.database import DatabaseStore
from core.storage.folder import FolderStore
from core.storage.store import BlobStore


def open_store(sessions: Sessions, where: str) -> BlobStore:
    """The store for `database` or `file:///folder`; ValueError for anything else."""
    if where == "database":
        return DatabaseStore(sessions)
    parts = urlsplit(where)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return FolderStore(sessions, Path(unquote(parts.path)))
    raise ValueError(f"storage is {where!r}; expected 'database' or 'file:///a/folder'")
