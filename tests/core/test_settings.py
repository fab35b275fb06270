"""Settings come from the environment, are frozen and never show a secret."""

import pytest
from pydantic import ValidationError

from core.settings import Settings

REQUIRED = {"DATABASE_URL": "sqlite:///x.db", "REDIS_URL": "redis://localhost/0"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_limit_and_a_setting_are_read_from_their_own_variables(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NETMILL_LIMIT_LAYERS", "7")
    environment.setenv("NETMILL_LEASE_S", "2.5")
    settings = Settings.from_env()
    assert settings.limits.layers == 7
    assert settings.lease_s == 2.5


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in REQUIRED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValidationError) as refusal:
        Settings.from_env()
    assert "DATABASE_URL" in str(refusal.value)
    assert "REDIS_URL" in str(refusal.value)


def test_a_secret_is_not_in_the_printed_settings(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NETMILL_ADMIN_KEY", "nm_verysecret")
    assert "verysecret" not in repr(Settings.from_env())


def test_settings_are_frozen(environment: pytest.MonkeyPatch) -> None:
    settings = Settings.from_env()
    with pytest.raises(ValidationError):
        settings.slots = 3  # type: ignore[misc]  # the fault is the point


def test_cores_are_shared_between_slots_unless_threads_are_given(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NETMILL_SLOTS", "10000")
    assert Settings.from_env().runner_threads() == 1
    environment.setenv("NETMILL_THREADS", "3")
    assert Settings.from_env().runner_threads() == 3
