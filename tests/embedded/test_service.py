"""What `netmill up` decides before it starts anything."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from core.settings import Settings
from embedded import service
from embedded.database import MigrationFailed
from embedded.service import Options, Refused, authentication_of, parts_of, settings_of


@pytest.mark.parametrize(
    ("host", "environment", "expected"),
    [
        ("127.0.0.1", {}, "off"),
        ("localhost", {"NETMILL_ADMIN_KEY": ""}, "off"),
        ("127.0.0.1", {"NETMILL_ADMIN_KEY": "nm_x"}, "keys"),
        ("127.0.0.1", {"NETMILL_ADMIN_KEY": "nm_x", "NETMILL_AUTH": "off"}, "off"),
        ("0.0.0.0", {"NETMILL_ADMIN_KEY": "nm_x"}, "keys"),
        ("::", {"NETMILL_ADMIN_KEY": "nm_x", "NETMILL_AUTH": "keys"}, "keys"),
    ],
)
def test_who_needs_a_key(host: str, environment: dict[str, str], expected: str) -> None:
    assert authentication_of(host, environment) == expected


@pytest.mark.parametrize(
    ("host", "environment"),
    [
        ("0.0.0.0", {}),
        ("192.168.1.5", {"NETMILL_AUTH": "keys"}),
        ("::", {"NETMILL_ADMIN_KEY": "nm_x", "NETMILL_AUTH": "off"}),
        ("netmill.example.org", {}),
    ],
)
def test_others_are_never_let_in_without_a_key(host: str, environment: dict[str, str]) -> None:
    with pytest.raises(Refused, match=rf"on {re.escape(host)} others can reach.*NETMILL_ADMIN_KEY"):
        authentication_of(host, environment)


def test_the_settings_are_those_that_the_parts_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings_of(Options(tmp_path, workers=3), tmp_path, 8123, "off", {}).items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_env()
    assert settings.database_url == f"sqlite:///{tmp_path}/netmill.db"
    assert settings.redis_url == f"redis+socket://{tmp_path}/broker/valkey.sock"
    assert (settings.data_dir, settings.mode, settings.auth) == (tmp_path, "embedded", "off")
    assert (settings.host, settings.port, settings.slots) == ("127.0.0.1", 8123, 3)


def test_the_operators_database_and_broker_win(tmp_path: Path) -> None:
    own = {"DATABASE_URL": "postgresql+psycopg://db/netmill", "REDIS_URL": "redis://cache:6379/0"}
    settings = settings_of(Options(tmp_path), tmp_path, 8000, "off", own)
    assert {name: settings[name] for name in own} == own
    assert [part.name for part in parts_of(tmp_path, settings, own_broker=False)] == ["api", "worker"]


def test_the_address_that_a_killed_service_left_behind_is_forgotten_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise MigrationFailed("not today")

    monkeypatch.setattr(service.database, "migrate", fail)
    (tmp_path / service.SERVER_FILE).write_text('{"url": "http://127.0.0.1:1", "pid": 1}')
    with pytest.raises(MigrationFailed):
        service.serve(Options(tmp_path, port=0), {}, lambda words, **facts: None)
    assert not (tmp_path / service.SERVER_FILE).exists()


def test_the_parts_are_the_entry_points_that_compose_starts(tmp_path: Path) -> None:
    settings = settings_of(Options(tmp_path), tmp_path, 8000, "off", {})
    parts = {part.name: part for part in parts_of(tmp_path, settings, own_broker=True)}
    assert parts["api"].command == [sys.executable, "-m", "api"]
    assert parts["worker"].command == [sys.executable, "-m", "worker"]
    assert [name for name, part in parts.items() if part.last] == ["broker"]


def test_nobody_listening_is_not_ready() -> None:
    assert service.is_ready("http://127.0.0.1:9", timeout_s=0.2) is False
    assert service.is_ready("http://[::1]:9", timeout_s=0.2) is False
