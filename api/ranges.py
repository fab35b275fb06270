"""One part of a file, as `Range` asks for it (RFC 9110, section 14)."""

from __future__ import annotations

import re

ONE_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)", re.IGNORECASE)
# more digits than any file has bytes; also what int() is never asked to read
LONGEST = 19


class NotSatisfiable(Exception):
    """The part begins behind the end of the file."""


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The part as (start, end), end exclusive; None when the whole file is to be sent.

    A header that is malformed or asks for several parts is ignored, as the RFC allows; several parts
    in one answer are how small requests have been made to cost much (CVE-2025-62727).
    """
    match = ONE_RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    first, last = match.groups()
    if (not first and not last) or max(len(first), len(last)) > LONGEST:
        return None
    if not first:
        if int(last) == 0 or size == 0:
            raise NotSatisfiable
        return max(0, size - int(last)), size
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise NotSatisfiable
    return start, min(size, int(last) + 1) if last else size
