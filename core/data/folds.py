"""Cross-validation: which rows train and which validate in each fold. Pure functions of sizes, keys and a seed.

The counts are scikit-learn's: KFold, StratifiedKFold, GroupKFold, TimeSeriesSplit (Pedregosa et al. 2011); the draw is
our own. Each function gives the fold, 0 to k - 1, in which a row validates.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.data.split import Rows, Split, data_error

_POINTER = "/data/split/folds"


def _generator(seed: int) -> Generator:
    # a stream of its own: the same seed has drawn the test rows before
    return np.random.Generator(np.random.PCG64([seed, 1]))


def _check(count: int, folds: int, what: str, *, least: int | None = None) -> None:
    if count < (least or folds):
        raise data_error(f"{count} {what} cannot be dealt out to {folds} folds", _POINTER, "ask for fewer folds")


def random_folds(rows: int, folds: int, seed: int) -> Rows:
    """(rows,) folds drawn at random, whose sizes differ by one row at most."""
    _check(rows, folds, "row(s)")
    dealt = np.empty(rows, dtype=np.int64)
    dealt[_generator(seed).permutation(rows)] = np.arange(rows) % folds
    return dealt


def stratified_folds(classes: Rows, folds: int, seed: int) -> Rows:
    """(rows,) folds, whose rows of each class and whose sizes differ by one at most.

    The rows stand class by class, in random order within each, and are dealt out in turn.
    """
    _check(len(classes), folds, "row(s)")
    order = _generator(seed).permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    dealt = np.empty(len(classes), dtype=np.int64)
    dealt[order] = np.arange(len(classes)) % folds
    return dealt


def group_folds(groups: Rows | NDArray[np.generic], folds: int, seed: int) -> Rows:
    """(rows,) folds that keep every group whole: the largest group first, each to the fold with the fewest rows."""
    values, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    _check(len(values), folds, "group(s)")
    order = _generator(seed).permutation(len(values))
    order = order[np.argsort(-counts[order], kind="stable")]
    sizes, dealt = np.zeros(folds, dtype=np.int64), np.empty(len(values), dtype=np.int64)
    for group in order.tolist():
        fold = int(sizes.argmin())
        dealt[group] = fold
        sizes[fold] += counts[group]
    found: Rows = dealt[inverse]
    return found


def time_folds(times: NDArray[np.generic], folds: int) -> Rows:
    """(rows,) folds of equal length in the order of time; -1 for the earliest rows, which only ever train.

    The expanding window of scikit-learn's TimeSeriesSplit: n // (k + 1) rows validate in each fold and all rows before
    them train. Equal times keep the rows' order.
    """
    _check(len(times), folds, "row(s), the earliest of which only train,", least=folds + 1)
    size = len(times) // (folds + 1)
    order = np.argsort(times, kind="stable")
    first = len(times) - folds * size
    dealt = np.full(len(times), -1, dtype=np.int64)
    dealt[order[first:]] = np.arange(folds * size) // size
    return dealt


def fold_split(rows: Rows, dealt: Rows, fold: int, test: Rows, *, in_time: bool) -> Split:
    """The parts of one fold; `rows` are those that were dealt out, `dealt` where each of them validates."""
    trains = dealt < fold if in_time else dealt != fold
    return Split(rows[trains], rows[dealt == fold], test)
