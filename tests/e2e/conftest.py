"""The whole service on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.service import Service


@pytest.fixture(scope="session")
def embedded_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("embedded") / "data")
    service.folder.mkdir()
    service.start()
    yield service
    service.stop()


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def any_service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on each of the two databases."""
    if request.param == "sqlite":
        yield request.getfixturevalue("embedded_service")
        return
    service = Service(
        tmp_path_factory.mktemp("on-postgresql") / "data",
        environment={"DATABASE_URL": request.getfixturevalue("empty_postgres_url")},
    )
    service.folder.mkdir()
    service.start()
    yield service
    service.stop()
