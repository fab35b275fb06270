"""Houses for the tests of the worker: a database, a broker, and workers as real processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import House, WorkerProcess, make_house
from tests.support.valkey import Valkey


@pytest.fixture(scope="session")
def broker() -> Iterator[Valkey]:
    broker = Valkey()
    broker.start()
    yield broker
    broker.close()


@pytest.fixture
def house(tmp_path: Path, sqlite_url: str, broker: Valkey) -> Iterator[House]:
    """A house of this test's own, with no worker yet."""
    broker.client().flushall()
    house = make_house(tmp_path, sqlite_url, broker)
    yield house
    house.close()


@pytest.fixture
def any_house(tmp_path: Path, database_url: str, broker: Valkey) -> Iterator[House]:
    """The same on each of the databases in turn."""
    broker.client().flushall()
    house = make_house(tmp_path, database_url, broker)
    yield house
    house.close()


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory, _migrated_sqlite: Path) -> Iterator[tuple[House, WorkerProcess]]:
    """A house with one worker that tests share and leave as they found it; its broker is its own."""
    broker = Valkey()
    broker.start()
    folder = tmp_path_factory.mktemp("house")
    shutil.copy(_migrated_sqlite, folder / "netmill.db")
    house = make_house(folder, f"sqlite:///{folder / 'netmill.db'}", broker)
    worker = house.start()
    yield house, worker
    house.close()
    broker.close()
