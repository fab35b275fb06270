"""What the child that reads an upload may use, and the errors with which it gives up."""

from __future__ import annotations

from typing import NamedTuple

from core.errors import Invalid, TooLarge

MIB = 1024 * 1024


class Caps(NamedTuple):
    """Plain numbers: the child does not import pydantic, which would double its start."""

    rows: int
    columns: int
    # bytes of the data set once read
    bytes: int
    # bytes to which this very upload may expand: deflate reaches a thousandfold, honest data seldom fifty
    expanded_bytes: int


def expansion_limit(upload_bytes: int, dataset_bytes: int) -> int:
    """Bytes to which an upload of `upload_bytes` may expand before it counts as a bomb."""
    return min(dataset_bytes, max(64 * MIB, 200 * upload_bytes))


def bad_data(detail: str, hint: str | None = None) -> Invalid:
    """The error for a file that cannot be read as what it claims to be."""
    return Invalid(detail, code="bad_data", hint=hint)


def check_size(what: str, received: int, limit: int, unit: str) -> None:
    """Raises TooLarge, with figure and limit, when `received` is above `limit`."""
    if received > limit:
        raise TooLarge(f"{what}: {received:,} {unit}, at most {limit:,} are allowed")
