"""What no part would start with is said once, before any is started."""

from __future__ import annotations

import pytest

from embedded.checks import check_settings
from embedded.service import Refused


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NETMILL_ADMIN_KEY", "NETMILL_THREADS", "NETMILL_SLOTS", "NETMILL_LIMIT_LAYERS"):
        monkeypatch.delenv(name, raising=False)


def test_a_good_environment_is_let_through() -> None:
    check_settings({})
    check_settings({"NETMILL_ADMIN_KEY": "nm_" + "0" * 17})


@pytest.mark.parametrize("name", ["NETMILL_THREADS", "NETMILL_LIMIT_LAYERS"])
def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "many")
    with pytest.raises(Refused, match=f"{name}: input should be a valid integer"):
        check_settings({})


def test_all_faults_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETMILL_SLOTS", "0")
    with pytest.raises(Refused, match=r"NETMILL_SLOTS: .*; NETMILL_ADMIN_KEY has 4 characters"):
        check_settings({"NETMILL_ADMIN_KEY": "abcd"})


def test_a_key_is_not_repeated() -> None:
    with pytest.raises(Refused) as caught:
        check_settings({"NETMILL_ADMIN_KEY": "nm_secret"})
    assert "nm_secret" not in str(caught.value)
