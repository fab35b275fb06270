"""Features that alone predict the target: copies of it, however scaled, negated or recoded, and what is known only
afterwards. Measured on the training rows; what is merely strong is left alone.

A feature is suspected where it has few values and each stands for one class, where classes lie eight deviations apart
on it, where 500 rows and more of each class fall apart without a fault, or where several are the one-hot code
of the classes; for numbers, where it gives the target by a line or by its ranks (R^2 and Spearman's rho of 0.9998).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.data.preparation import Preparation
from core.events import Warned

Array = NDArray[Any]
Task = Literal["classification", "regression"]

_LEAST_ROWS = 30
_LEAST_OF_OTHERS = 10  # rows that are not of the greatest class
_FIRST_ROWS, _ROWS = 256, 4_096
_MOST_COLUMNS = 2_000
_DEVIATIONS_APART = 8.0
_MANY_OF_EACH = 500
_ALMOST_ALL = 0.999
_CORRELATION = 0.9999
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Columns:
    """Values (N, F) of features, one column each, with their names; a text is the number of its category.

    `several` says whether the data have more than one: that a single one gives the target is what one may hope for.
    """

    names: tuple[str, ...]
    is_category: Array
    values: Array
    several: bool

    def only(self, names: Iterable[str]) -> Columns:
        which = [self.names.index(name) for name in names]
        return replace(
            self,
            names=tuple(self.names[place] for place in which),
            is_category=self.is_category[which],
            values=self.values[:, which],
        )


def warn_of_leaks(task: str, x: Array, y: Array | None, train: Array, preparation: Preparation) -> list[Warned]:
    """At most one warning, which names the columns; `y` (N,) classes or (N, targets) numbers."""
    if y is None or len(train) < _LEAST_ROWS or task not in ("classification", "regression"):
        return []
    # evenly spaced rows would hold one class alone where classes take turns
    source = np.random.Generator(np.random.PCG64(0))
    columns: Columns | None = None
    why: dict[str, str] = {}
    for most in (_FIRST_ROWS, _ROWS, len(train)):
        # a leak shows in few rows; only what is suspected there is looked at in more
        rows = train if most >= len(train) else train[source.integers(len(train), size=most)]
        found = _columns(x[rows], preparation)
        if found is None:
            return []
        columns = found if columns is None else found.only(why)
        is_last = most >= len(train)
        why = _suspects(columns, y[rows], is_first=most == _FIRST_ROWS and not is_last)
        if not why:
            return []
        if is_last:
            break
    return [_warning(why, len(train), preparation)]


def _columns(x: Array, preparation: Preparation) -> Columns | None:
    """The features of these rows, None where a sample is no flat list of them."""
    flat = x.reshape(len(x), -1)
    if preparation.kind == "arrays":
        if x.ndim != 2 or flat.shape[1] > _MOST_COLUMNS:
            return None
        names = tuple(f"x[:, {column}]" for column in range(flat.shape[1]))
        return Columns(names, np.zeros(len(names), dtype=bool), flat, len(names) > 1)
    widths = [feature.width for feature in preparation.features]
    if sum(widths) != flat.shape[1] or len(widths) > _MOST_COLUMNS:
        return None
    values = np.empty((len(x), len(widths)))
    start = 0
    for place, width in enumerate(widths):
        # the number of the category from its row of 0 and 1, 0 for none
        values[:, place] = flat[:, start] if width == 1 else flat[:, start : start + width] @ np.arange(1, width + 1)
        start += width
    is_category = np.array([feature.kind == "category" for feature in preparation.features], dtype=bool)
    return Columns(tuple(feature.name for feature in preparation.features), is_category, values, len(widths) > 1)


def _suspects(columns: Columns, y: Array, *, is_first: bool) -> dict[str, str]:
    """By name how the feature gives the target away."""
    if y.ndim == 1:
        return _of_classes(columns, y, is_first=is_first)
    found: dict[str, str] = {}
    for target in y.T if columns.several else ():
        found |= _of_numbers(columns, target)
    return found


def _of_classes(columns: Columns, y: Array, *, is_first: bool) -> dict[str, str]:
    rows, classes = len(y), len(np.unique(y))
    others = rows - np.bincount(y).max()
    if others < min(_LEAST_OF_OTHERS, rows // 10):
        return {}
    order = columns.values.argsort(axis=0, kind="stable")
    values, labels = np.take_along_axis(columns.values, order, 0), y[order]
    ties, changes = values[1:] == values[:-1], labels[1:] != labels[:-1]
    distinct = rows - ties.sum(0)
    faults = (1 - _ALMOST_ALL) * others if not is_first else 2.0
    pure = (ties & changes).sum(0) <= 2 * faults
    apart = changes.sum(0) <= classes - 1 + 2 * faults
    found = _one_hot(columns, y, distinct) if classes > 2 else {}
    for place in np.flatnonzero(pure & (distinct > 1) | apart).tolist():
        few = distinct[place] <= 2 * classes or (not apart[place] and distinct[place] <= rows / (4 if is_first else 20))
        if columns.is_category[place]:
            few = distinct[place] <= rows / (2 if is_first else 5)
        if pure[place] and few:
            found[columns.names[place]] = f"each of its {distinct[place]} values stands for one class"
        elif apart[place] and columns.several and (is_first or _far_apart(columns.values[:, place], y)):
            found[columns.names[place]] = "the classes do not overlap on it"
    return found


def _far_apart(values: Array, y: Array) -> bool:
    """Whether no honest measurement tells classes apart so well: by their distance, or by how many rows there are."""
    groups = sorted((values[y == label] for label in np.unique(y)), key=lambda group: float(group.mean()))
    if min(map(len, groups)) >= _MANY_OF_EACH:
        return True
    gaps = [(after.mean() - before.mean(), max(after.std(), before.std())) for before, after in pairwise(groups)]
    return all(gap >= _DEVIATIONS_APART * deviation for gap, deviation in gaps)


def _one_hot(columns: Columns, y: Array, distinct: Array) -> dict[str, str]:
    """Columns that are each the mark of one class, where together they mark all, or all but one."""
    marks: dict[int, str] = {}
    for place in np.flatnonzero(distinct == 2).tolist():
        high = columns.values[:, place] == columns.values[:, place].max()
        for marked in (high, ~high):
            label = int(y[marked.argmax()])
            if np.array_equal(marked, y == label):
                marks[label] = columns.names[place]
    if len(marks) < len(np.unique(y)) - 1:
        return {}
    return dict.fromkeys(marks.values(), "together they mark the classes")


def _of_numbers(columns: Columns, target: Array) -> dict[str, str]:
    found: dict[str, str] = {}
    if np.ptp(target) == 0:
        return found
    with np.errstate(invalid="ignore", divide="ignore"):
        line = _correlation(columns.values, target)
        ranks = _correlation(_ranks(columns.values), _ranks(target[:, None])[:, 0])
    for place, name in enumerate(columns.names):
        if columns.is_category[place]:
            if (share := _explained(columns.values[:, place], target)) >= _CORRELATION**2:
                found[name] = f"its categories explain {share:.2%} of the variance"
        elif line[place] >= _CORRELATION:
            found[name] = f"R^2 of a line is {line[place] ** 2:.6g}"
        elif ranks[place] >= _CORRELATION:
            found[name] = f"the correlation of their ranks is {ranks[place]:.6g}"
    return found


def _correlation(values: Array, target: Array) -> Array:
    """(F,) Pearson's, without its sign; NaN for a constant."""
    centred, wanted = values - values.mean(0), target - target.mean()
    return np.asarray(np.abs(wanted @ centred) / (np.linalg.norm(centred, axis=0) * np.linalg.norm(wanted)))


def _ranks(values: Array) -> Array:
    """(N, F) places in order, the mean place among equals."""
    ranks = np.empty(values.shape)
    for column in range(values.shape[1]):
        _, inverse, counts = np.unique(values[:, column], return_inverse=True, return_counts=True)
        last = counts.cumsum()
        ranks[:, column] = (last - (counts - 1) / 2)[inverse]
    return ranks


def _explained(codes: Array, target: Array) -> float:
    """The share of the target's variance that means of categories explain; 0 where most rows have one of their own."""
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    if len(counts) > len(codes) / 5:
        return 0.0
    means = np.bincount(inverse, weights=target) / counts
    return float(1 - ((target - means[inverse]) ** 2).sum() / ((target - target.mean()) ** 2).sum())


def _warning(why: dict[str, str], rows: int, preparation: Preparation) -> Warned:
    names = list(why)
    listed = ", ".join(repr(name) for name in names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    alone = "together" if why[names[0]].startswith("together") else "alone"
    one = len(names) == 1
    it = "it" if one else "them"
    derived = names[0] in (preparation.derive or {})
    pointer = "/data/features"
    if derived:
        pointer = "/data/derive/" + names[0].replace("~", "~0").replace("/", "~1")
    reason = why[names[0]] if one or alone == "together" else f"of {names[0]!r}: {why[names[0]]}"
    return Warned(
        "leakage_suspected",
        pointer,
        f"the feature{'' if one else 's'} {listed}{more} {alone} {'gives' if one else 'give'} the target away in "
        f"{rows} training rows ({reason}); if {it} {'is a copy' if one else 'are copies'} of the target, or known only "
        f"after it, no new row will have {it} and the metrics mean nothing: leave {it} out of "
        f"{'data.derive' if derived else 'data.features'}",
    )
