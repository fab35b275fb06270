from datetime import UTC, datetime, timedelta, timezone

from core.clock import to_rfc3339, utc_now


def test_now_has_the_zone_utc() -> None:
    assert utc_now().utcoffset() == timedelta(0)


def test_times_are_rfc_3339_in_utc() -> None:
    east = datetime(2026, 11, 23, 18, 0, tzinfo=timezone(timedelta(hours=2)))
    assert to_rfc3339(east) == "2026-11-23T16:00:00.000000Z"


def test_a_naive_time_from_sqlite_is_utc_and_none_stays_none() -> None:
    naive = datetime(2026, 11, 23, 16, 0, tzinfo=UTC).replace(tzinfo=None)
    assert to_rfc3339(naive) == "2026-11-23T16:00:00.000000Z"
    assert to_rfc3339(None) is None
