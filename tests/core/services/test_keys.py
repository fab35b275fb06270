"""Keys open one project, are shown once, and stop working when they should."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from core.clock import utc_now
from core.db.session import Sessions, reading, transaction
from core.db.tables import ApiKey
from core.errors import Forbidden, Invalid, NotFound
from core.services import keys
from core.services.keys import KeyView
from core.services.principal import LOCAL, SCOPES, Principal


def create(
    sessions: Sessions, scopes: Sequence[str] = ("read",), project: str = "physics", expires_at: datetime | None = None
) -> tuple[KeyView, str]:
    with transaction(sessions) as session:
        return keys.create(session, LOCAL, project=project, scopes=scopes, expires_at=expires_at, name="a key")


def who(sessions: Sessions, token: str) -> Principal | None:
    with reading(sessions) as session:
        found = keys.authenticate(session, [token, f"nm_not_{token}"])
    assert found.keys() <= {token}
    return found.get(token)


def test_a_key_opens_its_project(sessions: Sessions) -> None:
    key, token = create(sessions, ["write", "read"])
    assert token.startswith(f"nm_{key.id.removeprefix('key_')}_")
    assert who(sessions, token) == Principal("physics", frozenset({"read", "write"}), key.id)
    assert key.scopes == ["read", "write"]


def test_nothing_stored_is_a_key(sessions: Sessions) -> None:
    _, token = create(sessions)
    with reading(sessions) as session:
        row = session.scalars(select(ApiKey)).one()
        stored = " ".join(str(getattr(row, column.key)) for column in ApiKey.__mapper__.column_attrs)
    assert token not in stored
    assert token.rsplit("_", 1)[1] not in stored
    assert who(sessions, row.token_sha256) is None


@pytest.mark.parametrize("token", ["", "nm_", "nm_x_y", "Bearer", "\x00", "\ud800", "é" * 5000])
def test_what_is_no_key(sessions: Sessions, token: str) -> None:
    create(sessions)
    assert who(sessions, token) is None


def test_a_changed_secret(sessions: Sessions) -> None:
    _, token = create(sessions)
    for wrong in (token[:-1], token + "x", token[:-1] + ("a" if token[-1] != "a" else "b")):
        assert who(sessions, wrong) is None


def test_revoked_and_expired(sessions: Sessions) -> None:
    key, token = create(sessions)
    for _ in range(2):
        with transaction(sessions) as session:
            keys.revoke(session, LOCAL, key.id)
    assert who(sessions, token) is None
    _, token = create(sessions, expires_at=utc_now() + timedelta(hours=1))
    assert who(sessions, token).project == "physics"
    with transaction(sessions) as session:
        session.scalars(select(ApiKey).where(ApiKey.expires_at.is_not(None))).one().expires_at = utc_now()
    assert who(sessions, token) is None
    with pytest.raises(NotFound), transaction(sessions) as session:
        keys.revoke(session, LOCAL, "key_none")


def test_every_fault_of_a_request_at_once(sessions: Sessions) -> None:
    with pytest.raises(Invalid) as caught, transaction(sessions) as session:
        keys.create(
            session, LOCAL, project="", scopes=["root"], expires_at=datetime(2020, 1, 1, tzinfo=UTC), name="x" * 300
        )
    assert [error.pointer for error in caught.value.errors] == ["/project", "/name", "/scopes", "/expires_at"]


def test_admins_alone(sessions: Sessions) -> None:
    writer = Principal("default", frozenset({"write", "read"}))
    with transaction(sessions) as session:
        for action in (
            lambda: keys.create(session, writer, project="p", scopes=["read"]),
            lambda: keys.list_keys(session, writer),
            lambda: keys.revoke(session, writer, "key_1"),
        ):
            with pytest.raises(Forbidden):
                action()


def test_the_list(sessions: Sessions) -> None:
    made = [create(sessions)[0].id for _ in range(3)][::-1]
    with reading(sessions) as session:
        first = keys.list_keys(session, LOCAL, limit=2)
        second = keys.list_keys(session, LOCAL, limit=2, cursor=first.next_cursor)
    assert [key.id for key in first.data + second.data] == made
    assert second.next_cursor is None


def test_the_operators_key(sessions: Sessions) -> None:
    first, second = "nm_" + "a" * 40, "nm_" + "b" * 40
    for _ in range(2):
        with transaction(sessions) as session:
            keys.ensure_admin(session, first)
    assert who(sessions, first).may("admin")
    with transaction(sessions) as session:
        keys.ensure_admin(session, second)
    assert who(sessions, second).may("write")
    assert who(sessions, first) is None
    for weak in ("", "nm_short", "password-password-password"):
        with pytest.raises(ValueError, match="admin key"), transaction(sessions) as session:
            keys.ensure_admin(session, weak)


@pytest.mark.parametrize(
    ("had", "may"), [("read", ["read"]), ("write", ["read", "write"]), ("admin", ["read", "write", "admin"])]
)
def test_scopes(had: str, may: list[str]) -> None:
    principal = Principal("p", frozenset({had}))
    assert [scope for scope in SCOPES if principal.may(scope)] == may
    for scope in set(SCOPES) - set(may):
        with pytest.raises(Forbidden):
            principal.require(scope)
