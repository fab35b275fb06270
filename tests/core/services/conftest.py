"""A database with users and workers, on both kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.db.session import Sessions, now, transaction
from core.db.tables import Project
from core.services.principal import Principal
from core.storage.database import DatabaseStore
from tests.support.training import House


@pytest.fixture
def house(sessions: Sessions, store: DatabaseStore, tmp_path: Path) -> House:
    folder = tmp_path / "runner"
    folder.mkdir()
    return House(sessions, store, folder)


@pytest.fixture
def stranger(sessions: Sessions) -> Principal:
    """Somebody with every scope in another project."""
    with transaction(sessions) as session:
        session.add(Project(name="other", created_at=now(session), seconds_trained=0.0))
    return Principal("other", frozenset({"read", "write", "admin"}))
