"""API keys: shown once, stored as a sha256 (a fast hash is right for 256 random bits), each for one project."""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from core.db.session import now
from core.db.tables import ApiKey, Project
from core.db.upsert import insert_new
from core.errors import FieldError, Invalid, NotFound
from core.ids import KEY, new_id
from core.services.pages import Page, check_cursor, is_storable
from core.services.principal import SCOPES, Principal

_ALPHABET = string.ascii_letters + string.digits
_SECRET_LENGTH = 43  # 43 characters of 62 are 256 bits
_BOOTSTRAP = f"{KEY}_bootstrap"
_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as its admin sees it, without the token."""

    id: str
    name: str
    project: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


# built once: to build it takes longer than to run it
_KEYS = select(ApiKey.id, ApiKey.token_sha256, ApiKey.project, ApiKey.scopes, ApiKey.expires_at).where(
    ApiKey.token_sha256.in_(bindparam("digests", expanding=True)), ApiKey.revoked_at.is_(None)
)


def authenticate(session: Session, tokens: Collection[str]) -> dict[str, Principal]:
    """Who each token is; one that is unknown, revoked or expired is missing, and nothing says which of these it is."""
    by_digest = {_sha256(token): token for token in tokens}
    found = session.connection().execute(_KEYS, {"digests": list(by_digest)}).all()
    return {
        by_digest[key.token_sha256]: Principal(
            key.project, frozenset(key.scopes), key.id, expires=key.expires_at is not None
        )
        for key in found
        if key.expires_at is None or key.expires_at > now(session)
    }


def create(
    session: Session,
    principal: Principal,
    *,
    project: str,
    scopes: Sequence[str],
    expires_at: datetime | None = None,
    name: str = "",
) -> tuple[KeyView, str]:
    """A new key and its token, which nobody can ask for again. Needs the scope admin; raises Invalid."""
    principal.require("admin")
    _check(session, project, scopes, expires_at, name)
    ensure_project(session, project)
    key_id = new_id(KEY)
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    token = f"nm_{key_id.removeprefix(f'{KEY}_')}_{secret}"
    key = ApiKey(
        id=key_id,
        project=project,
        name=name,
        token_sha256=_sha256(token),
        scopes=[scope for scope in SCOPES if scope in scopes],
        created_at=now(session),
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    return _view(key), token


def _check(session: Session, project: str, scopes: Sequence[str], expires_at: datetime | None, name: str) -> None:
    errors = []
    if not 0 < len(project) <= _MAX_NAME or not is_storable(project):
        detail = (
            f"received a project of {len(project)} characters, expected 1 to {_MAX_NAME} without control characters"
        )
        errors.append(FieldError("/project", "bad_name", detail))
    if len(name) > _MAX_NAME or not is_storable(name):
        errors.append(FieldError("/name", "bad_name", f"received {len(name)} characters, expected at most {_MAX_NAME}"))
    if not scopes or not set(scopes) <= set(SCOPES):
        errors.append(FieldError("/scopes", "unknown_scope", f"expected one or more of {list(SCOPES)}"))
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= now(session)):
        errors.append(
            FieldError("/expires_at", "not_in_future", "expected a time in the future with its zone, or null")
        )
    if errors:
        raise Invalid("the key cannot be made as asked", errors=errors)


def list_keys(session: Session, principal: Principal, *, limit: int = 50, cursor: str | None = None) -> Page[KeyView]:
    """All projects' keys, newest first. Needs the scope admin."""
    principal.require("admin")
    query = select(ApiKey).order_by(ApiKey.id.desc()).limit(limit + 1)
    if check_cursor(cursor, KEY, (_BOOTSTRAP,)):
        query = query.where(ApiKey.id < cursor)
    keys = session.scalars(query).all()
    return Page([_view(key) for key in keys[:limit]], keys[limit - 1].id if len(keys) > limit else None)


def revoke(session: Session, principal: Principal, key_id: str) -> None:
    """From the commit on the key opens nothing; a second time is fine. Needs the scope admin; raises NotFound."""
    principal.require("admin")
    key = session.get(ApiKey, key_id) if is_storable(key_id) else None
    if key is None:
        raise NotFound(f"there is no key {key_id[:80]!a}")
    key.revoked_at = key.revoked_at or now(session)


def ensure_admin(session: Session, token: str) -> None:
    """Makes `token` the operator's admin key, in place of an older one; the same again changes nothing."""
    if len(token) < 20 or not token.startswith("nm_"):
        raise ValueError("the admin key must start with nm_ and have at least 20 characters")
    key = session.get(ApiKey, _BOOTSTRAP)
    if key is None:
        ensure_project(session, "default")
        key = ApiKey(id=_BOOTSTRAP, project="default", name="operator", scopes=["admin"], created_at=now(session))
        session.add(key)
    if key.token_sha256 != _sha256(token):
        key.token_sha256, key.revoked_at = _sha256(token), None


def ensure_project(session: Session, project: str) -> None:
    """The project's row, made if need be."""
    if session.get(Project, project) is None:
        insert_new(session, Project, {"name": project, "created_at": now(session), "seconds_trained": 0.0})


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def _view(key: ApiKey) -> KeyView:
    return KeyView(key.id, key.name, key.project, list(key.scopes), key.created_at, key.expires_at, key.revoked_at)
