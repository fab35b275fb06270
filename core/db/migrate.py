"""Brings a database to the state that this version works with; `python -m core.db.migrate` does so for DATABASE_URL."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text
from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError

from core.db.revision import HEAD
from core.db.session import make_engine

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration for this database, without a file."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["database_url"] = database_url
    return config


def upgrade(database_url: str, revision: str = "head") -> None:
    """Brings the database up to date; several processes may do so at once, and at head it costs one query."""
    if revision == "head" and is_at_head(database_url):
        return
    command.upgrade(alembic_config(database_url), revision)


def downgrade(database_url: str, revision: str) -> None:
    """Takes the database back to `revision`, or to nothing with `base`; what newer tables held is lost."""
    command.downgrade(alembic_config(database_url), revision)


def is_at_head(database_url: str) -> bool:
    """True when nothing is to be done."""
    engine = make_engine(database_url)
    try:
        return _revision(engine) == HEAD
    finally:
        engine.dispose()


def _revision(engine: Engine) -> str | None:
    """The database's revision; None when it has none yet. Raises OperationalError when it cannot be reached."""
    with engine.connect() as connection:
        try:
            found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        except (OperationalError, ProgrammingError) as error:
            if isinstance(error, OperationalError) and "no such table" not in str(error.orig):
                raise
            return None
    return found


def main() -> str | None:
    """What an operator has to change, in words; None when the database is ready."""
    database_url = os.environ.get("DATABASE_URL")
    if not database_url:
        return "DATABASE_URL is not set; expected sqlite:///file.db or postgresql+psycopg://user:password@host/name"
    try:
        upgrade(database_url)
    except ArgumentError:
        return "DATABASE_URL is no URL; expected sqlite:///file.db or postgresql+psycopg://user:password@host/name"
    except OperationalError as error:
        return f"the database of DATABASE_URL does not answer as it should: {error.orig}"
    return None


if __name__ == "__main__":
    sys.exit(main())
