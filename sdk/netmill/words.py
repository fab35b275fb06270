"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def number(value: Any) -> str:
    """Four significant digits; `-` for what is missing or was not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-" if value is None else str(value)
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(count: float) -> str:
    """Bytes in the largest unit that leaves at least one: `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago a moment was."""
    if moment is None:
        return "-"
    return f"{duration(max(0.0, ((now or datetime.now(UTC)) - moment).total_seconds()))} ago"
