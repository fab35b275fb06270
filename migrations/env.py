"""Runs the migrations on DATABASE_URL, or on the database that core.db.migrate names."""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import Connection, text

from core.db.session import make_engine
from core.db.tables import Base

# Any number, the same for everybody: two processes that migrate one PostgreSQL at once go one after the other.
_LOCK = 7_301_912_004


def run(connection: Connection) -> None:
    """All steps in one transaction: a migration that fails leaves the database as it was."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
    )
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            # an index of a large table takes longer than any request may
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("migrations read the database; run them online")
_engine = make_engine(context.config.attributes.get("database_url") or os.environ["DATABASE_URL"])
with _engine.connect() as _connection:
    run(_connection)
_engine.dispose()
