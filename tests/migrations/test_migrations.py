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
from sqlalchemy import ForeignKeyConstraint, inspect, select, text
from sqlalchemy.exc import IntegrityError

from core.db import migrate
from core.db.revision import HEAD
from core.db.session import make_engine, make_sessions, transaction
from core.db.tables import Base, Project
from tests.conftest import DATABASES
from tests.support.postgres import create_database

_NAMES = "id, project, name, tags, dataset, status, queue, finished_at, fence, batch, crashes, version, event_seq"
_NAMES += ", metric_seq, announced_seq, progress, created_at, changed_at, queued_at, not_before, dispatched_at"
_FIRST = "'job_1', 'default', '', '{{}}', 'iris', '{status}', 'q', {finished}, {fence}, 0, 0, 1, 0, 0, 0, '{{}}'"
JOB = f"INSERT INTO jobs ({_NAMES}) VALUES ({_FIRST}" + 5 * ", '2026-01-01'" + ")"


@pytest.fixture(params=DATABASES)
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'bare.db'}"
    return create_database(request.getfixturevalue("postgres"), f"bare_{uuid4().hex}")


def test_the_code_knows_the_newest_revision() -> None:
    scripts = ScriptDirectory.from_config(migrate.alembic_config("sqlite://"))
    assert scripts.get_heads() == [HEAD]


def _is_of_sqlite(item: object) -> bool:
    """Whether it is the key of a history's rows, which PostgreSQL does not have."""
    return isinstance(item, ForeignKeyConstraint) and item.table.name == "metrics"


def test_tables_are_those_of_the_code(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        opts = {"compare_type": True, "include_object": lambda it, *_: is_sqlite or not _is_of_sqlite(it)}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, Base.metadata) == []
        there = inspect(connection)
        for table in Base.metadata.sorted_tables:
            checks = {check["name"] for check in there.get_check_constraints(table.name)}
            assert checks == {c.name for c in table.constraints if type(c).__name__ == "CheckConstraint"}, table.name
            actions = {
                (key["constrained_columns"][0], key["options"].get("ondelete"))
                for key in there.get_foreign_keys(table.name)
            }
            keys = [key for key in table.foreign_keys if is_sqlite or not _is_of_sqlite(key.constraint)]
            assert actions == {(key.parent.name, key.ondelete) for key in keys}, table.name
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


def test_rows_of_the_first_version_are_kept(bare_url: str) -> None:
    """A queued job with its spec and events goes up and down again; what is new is empty."""
    spec = "INSERT INTO job_specs (job_id, submitted, spec, schema) VALUES ('job_1', '{}', '{}', '{}')"
    event = "INSERT INTO job_events (job_id, seq, time, type, data) VALUES ('job_1', 1, '2026-01-01', 'log', '{}')"
    migrate.upgrade(bare_url, "0001")
    engine = make_engine(bare_url)
    with engine.begin() as connection:
        for row in (JOB.format(status="queued", finished="NULL", fence=0), spec, event):
            connection.exec_driver_sql(row)
    migrate.upgrade(bare_url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT id, status, change_seq FROM jobs")).all() == [("job_1", "queued", 0)]
        assert connection.scalar(text("SELECT count(*) FROM job_specs WHERE changes IS NULL")) == 1
        connection.exec_driver_sql(event.replace("1, '2026", "2, '2026").replace("'log'", "'change'"))
    migrate.downgrade(bare_url, "0001")
    with engine.connect() as connection:
        events = connection.execute(text("SELECT seq, type FROM job_events ORDER BY seq")).all()
        assert events == [(1, "log"), (2, "log")]
        assert connection.scalar(text("SELECT id FROM jobs")) == "job_1"
    engine.dispose()


def test_what_was_there_is_found_by_its_tags_and_counted(bare_url: str) -> None:
    migrate.upgrade(bare_url, "0004")
    engine = make_engine(bare_url)
    job = JOB.format(status="cancelled", finished="'2026-01-01'", fence=0)
    with engine.begin() as connection:
        connection.exec_driver_sql(job)
        connection.execute(text("""UPDATE jobs SET tags = :tags"""), {"tags": '{"run":"r 1","x":"ä"}'})
    migrate.upgrade(bare_url)
    with engine.connect() as connection:
        tags = connection.execute(text("SELECT job_id, project, key, value FROM job_tags ORDER BY key")).all()
        assert tags == [("job_1", "default", "run", "r 1"), ("job_1", "default", "x", "ä")]
        counted = text("SELECT jobs_succeeded, jobs_failed, jobs_cancelled FROM projects")
        assert connection.execute(counted).all() == [(0, 0, 1)]
    engine.dispose()


def test_blobs_that_nothing_names_are_looked_at_as_garbage(bare_url: str) -> None:
    migrate.upgrade(bare_url, "0006")
    engine = make_engine(bare_url)
    blob = "INSERT INTO blobs (sha256, bytes, location, chunk_bytes, complete, touched_at) VALUES "
    named = """INSERT INTO datasets (id, project, name, kind, sha256, bytes, rows, schema, profile, preview, created_at)
               VALUES ('ds_1', 'default', 'one', 'table', 'named', 1, 1, '{}', '{}', '[]', '2026-01-01')"""
    with engine.begin() as connection:
        for sha256 in ("named", "lost"):
            connection.exec_driver_sql(f"{blob} ('{sha256}', 1, 'database', 1, true, '2026-01-01')")
        connection.exec_driver_sql(named)
    migrate.upgrade(bare_url)
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT sha256 FROM blobs WHERE loose")).all() == ["lost"]
    migrate.downgrade(bare_url, "0006")
    engine.dispose()


def test_two_at_once(bare_url: str) -> None:
    command = [sys.executable, "-m", "core.db.migrate"]
    ups = [subprocess.Popen(command, env={**os.environ, "DATABASE_URL": bare_url}) for _ in range(2)]
    assert [up.wait(60) for up in ups] == [0, 0]
    assert migrate.is_at_head(bare_url)


def test_the_schema_refuses_what_cannot_be(database_url: str) -> None:
    engine = make_engine(database_url)
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
            connection.execute(text(JOB.format(**values)))
    with engine.begin() as connection:
        connection.execute(text(JOB.format(status="queued", finished="NULL", fence=0)))
    engine.dispose()
