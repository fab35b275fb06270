"""Keys and usage, for admins."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.schemas.common import Answer, Time

Scope = Literal["read", "write", "admin"]


class NewKey(BaseModel):
    """What a new key may do, and until when."""

    model_config = ConfigDict(extra="forbid")

    project: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", examples=["physics"])
    scopes: list[Scope] = Field(min_length=1, max_length=3, examples=[["read", "write"]])
    expires_at: AwareDatetime | None = Field(default=None, description="RFC 3339; null: never")
    name: str = Field(default="", max_length=200)


class Key(Answer):
    """A key without its secret."""

    id: str
    name: str
    project: str
    scopes: list[Scope]
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None


class CreatedKey(Key):
    """A key with its secret, which is shown this once."""

    key: str | None = Field(
        examples=["nm_..."], description="null when an Idempotency-Key brings this answer back: secrets are not stored"
    )


class KeyPage(Answer):
    """Keys, newest first."""

    data: list[Key]
    next_cursor: str | None


class ProjectUsage(Answer):
    """What one project has used."""

    project: str
    jobs: int
    seconds_trained: float
    bytes_stored: int


class Usage(Answer):
    """Usage by project."""

    data: list[ProjectUsage]
