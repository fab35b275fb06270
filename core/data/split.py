"""Which rows train, validate and test: pure functions of sizes, keys and a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.errors import TrainingFailed

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of the three parts, each sorted; together every row once."""

    train: Rows
    validation: Rows
    test: Rows


def data_error(detail: str, pointer: str, hint: str | None = None) -> TrainingFailed:
    """The failure of a run whose data cannot be used as its spec asks."""
    return TrainingFailed(detail, code="data_error", pointer=pointer, hint=hint)


def part_sizes(rows: int, validation: float, test: float) -> tuple[int, int]:
    """(validation, test) rows: the fractions rounded half up, at least one each where asked for, one left to train."""
    sizes = [max(1, int(rows * share + 0.5)) if share > 0 else 0 for share in (validation, test)]
    if sum(sizes) >= rows:
        raise data_error(
            f"{rows} rows cannot be split into {sizes[0]} for validation, {sizes[1]} for the test and some to train",
            "/data/split",
            "use more rows, or set validation or test to 0",
        )
    return sizes[0], sizes[1]


def _generator(seed: int) -> Generator:
    return np.random.Generator(np.random.PCG64(seed))


def _split(parts: NDArray[np.int8]) -> Split:
    return Split(*(np.flatnonzero(parts == code).astype(np.int64) for code in (0, 1, 2)))


def random_split(rows: int, validation: float, test: float, seed: int) -> Split:
    """Rows drawn at random."""
    n_validation, n_test = part_sizes(rows, validation, test)
    order = _generator(seed).permutation(rows)
    parts = np.zeros(rows, dtype=np.int8)
    parts[order[:n_test]] = 2
    parts[order[n_test : n_test + n_validation]] = 1
    return _split(parts)


def stratified_split(classes: Rows, validation: float, test: float, seed: int) -> Split:
    """Rows drawn at random within each class; every class keeps one row for training before it gives any away.

    The parts have the sizes of `random_split`, shared out by largest remainders.
    """
    n_validation, n_test = part_sizes(len(classes), validation, test)
    random = _generator(seed)
    order = random.permutation(len(classes))
    # rows of one class together, in random order within it
    order = order[np.argsort(classes[order], kind="stable")]
    _, starts, counts = np.unique(classes[order], return_index=True, return_counts=True)
    spare = counts - 1
    from_test = _shares(counts, n_test, spare)
    from_validation = _shares(counts, n_validation, spare - from_test)
    parts = np.zeros(len(classes), dtype=np.int8)
    for start, a, b in zip(starts.tolist(), from_test.tolist(), from_validation.tolist(), strict=True):
        parts[order[start : start + a]] = 2
        parts[order[start + a : start + a + b]] = 1
    return _split(parts)


def _shares(counts: Rows, total: int, most: Rows) -> Rows:
    """How many rows each class gives so that they sum to `total` in proportion to `counts`, none above `most`."""
    exact = counts * (total / counts.sum())
    shares: Rows = np.minimum(np.floor(exact).astype(np.int64), most)
    while (left := total - int(shares.sum())) > 0 and (shares < most).any():
        room = np.flatnonzero(shares < most)
        # the largest remainder first; of equal ones the earlier class
        takers = room[np.argsort(-(exact - shares)[room], kind="stable")][:left]
        shares[takers] += 1
    return shares


def group_split(groups: Rows, validation: float, test: float, seed: int) -> Split:
    """Whole groups drawn at random, each to where it brings the sizes closest to the fractions."""
    values, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    wanted = np.array([1 - validation - test, validation, test]) * len(groups)
    needed = 1 + (validation > 0) + (test > 0)
    if len(values) < needed:
        raise data_error(
            f"{len(values)} group(s) cannot be split into {needed} parts",
            "/data/split/group",
            "set validation or test to 0",
        )
    order = _generator(seed).permutation(len(values))
    # large groups first (they fit nowhere later); the draw decides among equal ones
    order = order[np.argsort(-counts[order], kind="stable")]
    sizes, parts = np.zeros(3), np.zeros(len(values), dtype=np.int8)
    open_parts = [part for part in range(3) if wanted[part] > 0]
    for place, group in enumerate(order.tolist()):
        empty = [part for part in open_parts if not sizes[part]]
        # the last groups go to parts that have none yet
        choices = empty if len(empty) >= len(order) - place else open_parts
        part = max(choices, key=lambda part: (wanted[part] - sizes[part]) / wanted[part])
        parts[group] = part
        sizes[part] += counts[group]
    return _split(parts[inverse])


def time_split(times: NDArray[np.generic], validation: float, test: float) -> Split:
    """The latest rows test, those before them validate, the earliest train; equal times keep the rows' order."""
    n_validation, n_test = part_sizes(len(times), validation, test)
    order = np.argsort(times, kind="stable")
    parts = np.zeros(len(times), dtype=np.int8)
    n_train = len(times) - n_validation - n_test
    parts[order[n_train : n_train + n_validation]] = 1
    parts[order[n_train + n_validation :]] = 2
    return _split(parts)


def column_split(parts: NDArray[np.int8], validation: float, seed: int, classes: Rows | None) -> Split:
    """As the column says (0 train, 1 validation, 2 test); with no validation row the fraction is taken out of train.

    `classes` keeps the classes' shares in what is taken out.
    """
    given = _split(parts)
    if not len(given.train):
        raise data_error("no row of the split column says 'train'", "/data/split/column")
    if len(given.validation) or not validation:
        return given
    if classes is None:
        taken = random_split(len(given.train), validation, 0.0, seed)
    else:
        taken = stratified_split(classes[given.train], validation, 0.0, seed)
    return Split(given.train[taken.train], given.train[taken.validation], given.test)
