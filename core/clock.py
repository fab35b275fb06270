"""Time, in one place. Leases compare the database's clock alone; this one only labels things."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, with the zone UTC."""
    return datetime.now(UTC)


def to_rfc3339(moment: datetime | None) -> str | None:
    """`2026-11-23T16:08:00.123456Z`; a moment without a zone is taken as UTC."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
