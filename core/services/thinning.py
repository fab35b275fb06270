"""Fewer rows of a history with the same picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Values = Mapping[str, float | None]


def thin(rows: Sequence[Values], max_points: int) -> list[int]:
    """Places of at most `max_points` rows: the first, the last, and each series' least and greatest of each bucket.

    Buckets are equal stretches of the history, as many as there is room for, so a spike of one row stays (M4-style
    min/max aggregation: Jugel et al. 2014). Where not even one bucket has room for every series, the series that
    come first in the rows go first.
    """
    if len(rows) <= max_points:
        return list(range(len(rows)))
    places = {len(rows) - 1} if max_points < 2 else {0, len(rows) - 1}
    names = list(dict.fromkeys(name for row in rows for name in row))
    room = max_points - len(places)
    names = names[: room // 2] or names[:room]
    buckets = max(1, room // (2 * len(names))) if names else 0
    for bucket in range(buckets):
        start, end = bucket * len(rows) // buckets, (bucket + 1) * len(rows) // buckets
        for name in names:
            places |= _extremes(rows, range(start, end), name)
    return _cut(sorted(places), max_points)


def _extremes(rows: Sequence[Values], places: range, name: str) -> set[int]:
    """Where the series is least and greatest; empty when it has no finite number there."""
    found = [(value, place) for place in places if (value := rows[place].get(name)) is not None]
    return {min(found)[1], max(found)[1]} if found else set()


def _cut(places: list[int], max_points: int) -> list[int]:
    """The first and the last of them and what else there is room for."""
    return places if len(places) <= max_points else [*places[: max_points - 1], places[-1]]
