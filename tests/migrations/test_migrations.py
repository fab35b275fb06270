"""Up, down, up again, and the tables that come of it are those that the code knows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError

from core.db import migrate
from core.db.revision import HEAD
from core.db.session import make_engine, make_sessions, transaction
from core.db.tables import Base, Project
from tests.conftest import DATABASES
from tests.support.postgres import create_database


@pytest.fixture(params=DATABASES)
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'bare.db'}"
    return create_database(request.getfixturevalue("postgres"), f"bare_{uuid4().hex}")


def test_the_code_knows_the_newest_revision() -> None:
    scripts = ScriptDirectory.from_config(migrate.alembic_config("sqlite://"))
    assert scripts.get_heads() == [HEAD]


def test_tables_are_those_of_the_code(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        there = inspect(connection)
        for table in Base.metadata.sorted_tables:
            checks = {check["name"] for check in there.get_check_constraints(table.name)}
            assert checks == {c.name for c in table.constraints if type(c).__name__ == "CheckConstraint"}, table.name
            actions = {
                (key["constrained_columns"][0], key["options"].get("ondelete"))
                for key in there.get_foreign_keys(table.name)
            }
            assert actions == {(key.parent.name, key.ondelete) for key in table.foreign_keys}, table.name
    engine.dispose()


def test_every_column_has_a_comment() -> None:
    assert [str(c) for table in Base.metadata.sorted_tables for c in table.columns if not c.comment] == []


def test_up_down_and_up_again(bare_url: str) -> None:
    migrate.upgrade(bare_url)
    assert migrate.is_at_head(bare_url)
    migrate.downgrade(bare_url, "base")
    engine = make_engine(bare_url)
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    engine.dispose()
    assert not migrate.is_at_head(bare_url)
    migrate.upgrade(bare_url)
    migrate.upgrade(bare_url)
    with transaction(make_sessions(engine)) as session:
        assert session.scalars(select(Project.name)).all() == ["default"]
    engine.dispose()


def test_two_at_once(bare_url: str) -> None:
    command = [sys.executable, "-m", "core.db.migrate"]
    ups = [subprocess.Popen(command, env={**os.environ, "DATABASE_URL": bare_url}) for _ in range(2)]
    assert [up.wait(60) for up in ups] == [0, 0]
    assert migrate.is_at_head(bare_url)


def test_the_schema_refuses_what_cannot_be(database_url: str) -> None:
    engine = make_engine(database_url)
    names = "id, project, name, tags, dataset, status, queue, finished_at, fence, batch, crashes, version, event_seq"
    names += ", metric_seq, announced_seq, progress, created_at, changed_at, queued_at, not_before, dispatched_at"
    first = "'job_1', 'default', '', '{{}}', 'iris', '{status}', 'q', {finished}, {fence}, 0, 0, 1, 0, 0, 0, '{{}}'"
    times = 5 * ", '2026-01-01'"
    job = f"INSERT INTO jobs ({names}) VALUES ({first}{times})"
    wrong = [
        {"status": "dancing", "finished": "NULL", "fence": 0},
        {"status": "running", "finished": "NULL", "fence": 1},
        {"status": "queued", "finished": "'2026-01-01'", "fence": 0},
        {"status": "cancelled", "finished": "NULL", "fence": 0},
        {"status": "failed", "finished": "'2026-01-01'", "fence": 0},
        {"status": "succeeded", "finished": "'2026-01-01'", "fence": 0},
        {"status": "queued", "finished": "NULL", "fence": -1},
    ]
    for values in wrong:
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(text(job.format(**values)))
    with engine.begin() as connection:
        connection.execute(text(job.format(status="queued", finished="NULL", fence=0)))
    engine.dispose()
