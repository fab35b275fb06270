"""Who asks. Every read and write of a user's things takes one, and sees its project alone."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import Forbidden

SCOPES = ("read", "write", "admin")


@dataclass(frozen=True, slots=True)
class Principal:
    """A project and what may be done in it; `key_id` is None without keys, `expires` says that the key's time ends."""

    project: str
    scopes: frozenset[str]
    key_id: str | None = None
    expires: bool = False

    def may(self, scope: str) -> bool:
        """True when a scope it has is `scope` or one above it: admin may write, write may read."""
        return any(had in self.scopes for had in SCOPES[SCOPES.index(scope) :])

    def require(self, scope: str) -> None:
        """Raises Forbidden unless this principal has the scope."""
        if not self.may(scope):
            raise Forbidden(
                f"this needs the scope '{scope}', the key has {sorted(self.scopes)}", hint=f"use a key with '{scope}'"
            )


# Embedded on loopback: whoever reaches the port is the owner of the machine's account.
LOCAL = Principal("default", frozenset(SCOPES))
