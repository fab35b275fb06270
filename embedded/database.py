"""The database of a data folder, brought to the newest revision before anybody opens it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from core.db.revision import HEAD

ROOT = Path(__file__).resolve().parents[1]


class MigrationFailed(Exception):
    """The database could not be brought to the newest revision; the message ends with Alembic's own last lines."""


def sqlite_url(folder: Path) -> str:
    """SQLAlchemy's URL of the folder's own database file."""
    return f"sqlite:///{folder / 'netmill.db'}"


def migrate(url: str, environment: Mapping[str, str]) -> bool:
    """Runs the missing migrations; False when there were none: 1 ms on SQLite instead of Alembic's 0.5 s."""
    if url.startswith("sqlite:///") and stored_revision(Path(url.removeprefix("sqlite:///"))) == HEAD:
        return False
    done = subprocess.run(
        [sys.executable, "-m", "core.db.migrate"],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C in the middle of a migration is for the keeper, which waits for its end
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.decode(errors="replace").strip().splitlines()[-12:])
        raise MigrationFailed(f"the database cannot be migrated (exit code {done.returncode}):\n{tail}")
    return True


def stored_revision(file: Path) -> str | None:
    """The revision that an SQLite file says it has; None when there is no file, no table or more than one row."""
    if not file.is_file():
        return None
    try:
        connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    except sqlite3.OperationalError:
        return None
    try:
        rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.DatabaseError:
        return None  # Alembic will say what is wrong with it
    finally:
        connection.close()
    return str(rows[0][0]) if len(rows) == 1 else None
