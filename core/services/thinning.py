"""Fewer rows of a history with the same picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Values = Mapping[str, float | None]


def thin(rows: Sequence[Values], max_points: int) -> list[int]:
    """Places of at most `max_points` rows: the first, the last, and each series' least and greatest of each bucket.

    Buckets are equal stretches of the history, as many as there is room for, so a spike of one row stays (M4-style
    min/max aggregation: Jugel et al. 2014). Where not even one bucket has room for every series, the series that
    come first in the rows go first. Room that is left, as series share rows or stand still, goes to rows in between.
    The hundreds of series that tell of layers have half of the room together, so that they do not crowd out the losses.
    """
    if len(rows) <= max_points:
        return list(range(len(rows)))
    places = {len(rows) - 1} if max_points < 2 else {0, len(rows) - 1}
    names = list(dict.fromkeys(name for row in rows for name in row))
    room = max_points - len(places)
    layers = [name for name in names if is_of_layer(name)]
    others = [name for name in names if not is_of_layer(name)]
    for_layers = room if not others else room // 2 if layers else 0
    places |= _kept(rows, others, room - for_layers) | _kept(rows, layers, for_layers)
    return _filled(_cut(sorted(places), max_points), len(rows), max_points)


def is_of_layer(name: str) -> bool:
    """Whether a series tells of one layer, as `layer.<index>.<stat>`."""
    return name.startswith("layer.")


def _kept(rows: Sequence[Values], names: list[str], room: int) -> set[int]:
    """Places of the extremes of these series, at most so many but for one each that share rows."""
    names = names[: room // 2] or names[:room]
    buckets = max(1, room // (2 * len(names))) if names else 0
    places: set[int] = set()
    for bucket in range(buckets):
        start, end = bucket * len(rows) // buckets, (bucket + 1) * len(rows) // buckets
        for name in names:
            places |= _extremes(rows, range(start, end), name)
    return places


def _extremes(rows: Sequence[Values], places: range, name: str) -> set[int]:
    """Where the series is least and greatest; empty when it has no finite number there."""
    found = [(value, place) for place in places if (value := rows[place].get(name)) is not None]
    return {min(found)[1], max(found)[1]} if found else set()


def _cut(places: list[int], max_points: int) -> list[int]:
    """The first and the last of them and what else there is room for."""
    return places if len(places) <= max_points else [*places[: max_points - 1], places[-1]]


def _filled(places: list[int], rows: int, max_points: int) -> list[int]:
    """The places and, in equal steps among the rows left out, as many more as there is room for."""
    left_out = sorted(set(range(rows)).difference(places))
    spare = max_points - len(places)
    return sorted([*places, *(left_out[(2 * place + 1) * len(left_out) // (2 * spare)] for place in range(spare))])
