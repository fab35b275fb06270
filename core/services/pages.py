"""Lists, newest first, a page at a time."""

from __future__ import annotations

import re
from collections.abc import Collection
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


def check_cursor(cursor: str | None, prefix: str, named: Collection[str] = ()) -> str | None:
    """The cursor, if it can be one: the id of the last item seen, which need not be there still. Raises Invalid."""
    if cursor is not None and cursor not in named and not re.fullmatch(rf"{prefix}_[0-9a-f]{{32}}", cursor):
        raise Invalid(f"cursor {cursor[:80]!a} was not given out by a page; use next_cursor", code="bad_cursor")
    return cursor
