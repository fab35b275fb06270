"""Lists, newest first, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from core.errors import Invalid

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list; `next_cursor` is None on the last page."""

    data: list[T]
    next_cursor: str | None


def is_storable(text: str) -> bool:
    """False for text that no database column holds: with NUL characters or lone surrogates."""
    return not any(character == "\x00" or "\ud800" <= character <= "\udfff" for character in text)


def check_cursor(cursor: str | None) -> str | None:
    """The cursor, if it can be one: a cursor is the id of the last item seen. Raises Invalid."""
    if cursor is not None and not (cursor.isascii() and cursor.replace("_", "").isalnum()):
        raise Invalid(f"cursor {cursor[:80]!a} was not given out by a page; use next_cursor", code="bad_cursor")
    return cursor
