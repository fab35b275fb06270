"""Databases for every test: the same test runs on SQLite and on a real PostgreSQL, each on tables of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from core.db.migrate import upgrade
from core.db.session import Sessions, make_engine, make_sessions
from core.settings import Settings
from core.storage.database import DatabaseStore
from tests.support.postgres import create_database, drop_database, empty_tables, postgres_server

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server's first database."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def empty_postgres_url(postgres: str) -> Iterator[str]:
    """A PostgreSQL database without tables."""
    name = f"empty_{uuid4().hex}"
    yield create_database(postgres, name)
    drop_database(postgres, name)


@pytest.fixture(scope="session")
def _migrated_postgres(postgres: str) -> str:
    """A migrated PostgreSQL database, one for all tests: to empty it is much quicker than to make another."""
    url = create_database(postgres, f"tests_{uuid4().hex}")
    upgrade(url)
    return url


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file that others are copied from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(_migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of the test's own."""
    path = tmp_path / "netmill.db"
    shutil.copy(_migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(_migrated_postgres: str) -> str:
    """A migrated PostgreSQL database as after its migration, for this test alone."""
    empty_tables(_migrated_postgres)
    return _migrated_postgres


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of the test's own, of each kind in turn."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    """What makes sessions on the test's database, with room for many threads."""
    engine = make_engine(database_url, pool_size=20)
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture
def store(sessions: Sessions) -> DatabaseStore:
    """Blobs in the test's database."""
    return DatabaseStore(sessions)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings on the test's database, with a broker that nobody answers at."""
    return Settings(database_url=database_url, redis_url="redis://127.0.0.1:1/0", data_dir=tmp_path / "data")
