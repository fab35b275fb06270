"""Migrations are run when there are some, and cost nothing when there are none."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from core.db.revision import HEAD
from embedded import database


def settings_for(url: str) -> dict[str, str]:
    return {"DATABASE_URL": url, "PYTHONPATH": str(database.ROOT), "PYTHONSAFEPATH": "1"}


def test_a_new_folder_is_migrated_once(tmp_path: Path) -> None:
    url = database.sqlite_url(tmp_path)
    assert database.migrate(url, settings_for(url)) is True
    assert database.stored_revision(tmp_path / "netmill.db") == HEAD
    began = time.monotonic()
    assert database.migrate(url, settings_for(url)) is False
    assert time.monotonic() - began < 0.1
    tables = sqlite3.connect(tmp_path / "netmill.db").execute("SELECT name FROM sqlite_master").fetchall()
    assert ("jobs",) in tables


def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "netmill.db").write_bytes(b"not a database, but long enough to be read as one" * 40)
    url = database.sqlite_url(tmp_path)
    assert database.stored_revision(tmp_path / "netmill.db") is None
    with pytest.raises(database.MigrationFailed, match="file is not a database"):
        database.migrate(url, settings_for(url))


def test_no_file_has_no_revision(tmp_path: Path) -> None:
    assert database.stored_revision(tmp_path / "netmill.db") is None
    assert list(tmp_path.iterdir()) == []
