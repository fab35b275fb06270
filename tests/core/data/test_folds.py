"""Folds against scikit-learn's: sizes, stratification, whole groups, time order."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit

from core.data.folds import fold_split, group_folds, random_folds, stratified_folds, time_folds
from core.errors import TrainingFailed

Rows = NDArray[np.int64]
CASES = [(10, 2), (17, 5), (100, 3), (101, 20), (1000, 10)]


def counts(folds: Rows, k: int) -> list[int]:
    return np.bincount(folds, minlength=k).tolist()


@pytest.mark.parametrize(("rows", "k"), CASES)
def test_random_folds_are_as_large_as_scikit_learns_and_hold_every_row_once(rows: int, k: int) -> None:
    folds = random_folds(rows, k, seed=3)
    theirs = [len(test) for _, test in KFold(k, shuffle=True, random_state=0).split(np.zeros(rows))]
    assert counts(folds, k) == theirs
    every = np.arange(rows)
    parts = [fold_split(every, folds, fold, every[:0], in_time=False) for fold in range(k)]
    assert np.array_equal(np.sort(np.concatenate([part.validation for part in parts])), every)
    assert all(np.array_equal(np.union1d(part.train, part.validation), every) for part in parts)
    assert all(not np.intersect1d(part.train, part.validation).size for part in parts)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_stratified_folds_share_out_each_class_as_scikit_learn_does(k: int) -> None:
    classes = np.random.default_rng(1).choice(4, size=211, p=[0.6, 0.25, 0.1, 0.05]).astype(np.int64)
    folds = stratified_folds(classes, k, seed=5)
    theirs = [test for _, test in StratifiedKFold(k, shuffle=True, random_state=0).split(classes, classes)]
    ours = np.array([np.bincount(classes[folds == fold], minlength=4) for fold in range(k)])
    wanted = np.array([np.bincount(classes[test], minlength=4) for test in theirs])
    # which fold gets the odd row is a matter of order
    assert np.array_equal(np.sort(ours, axis=0), np.sort(wanted, axis=0))
    assert sorted(ours.sum(axis=1)) == sorted(wanted.sum(axis=1))
    assert np.ptp(ours, axis=0).max() <= 1


def test_groups_stay_whole_and_folds_are_as_even_as_scikit_learns() -> None:
    random = np.random.default_rng(2)
    groups = random.integers(0, 31, size=400)
    folds = group_folds(groups, 5, seed=1)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in np.unique(groups))
    theirs = [len(test) for _, test in GroupKFold(5).split(groups, groups=groups)]
    assert sorted(counts(folds, 5)) == sorted(theirs)


@pytest.mark.parametrize(("rows", "k"), [(12, 3), (100, 7), (23, 20)])
def test_time_folds_are_scikit_learns_expanding_window(rows: int, k: int) -> None:
    times = np.random.default_rng(4).permutation(rows)
    order = np.argsort(times)
    folds = time_folds(times, k)
    for fold, (train, test) in enumerate(TimeSeriesSplit(k).split(np.zeros(rows))):
        part = fold_split(np.arange(rows), folds, fold, np.arange(0), in_time=True)
        assert np.array_equal(part.train, np.sort(order[train]))
        assert np.array_equal(part.validation, np.sort(order[test]))


def test_folds_are_drawn_by_the_seed_alone() -> None:
    classes = np.arange(60) % 3
    groups = np.arange(60) // 4
    draws = (
        lambda seed: random_folds(60, 4, seed),
        lambda seed: stratified_folds(classes, 4, seed),
        lambda seed: group_folds(groups, 4, seed),
    )
    for draw in draws:
        assert np.array_equal(draw(1), draw(1))
        assert not np.array_equal(draw(1), draw(2))


def test_more_folds_than_there_is_to_deal_out_is_told() -> None:
    for deal in (
        lambda: random_folds(3, 4, 0),
        lambda: stratified_folds(np.array([0, 1, 0]), 4, 0),
        lambda: group_folds(np.array([1, 1, 2, 2, 3]), 4, 0),
        lambda: time_folds(np.arange(4), 4),
    ):
        with pytest.raises(TrainingFailed, match="4 folds") as told:
            deal()
        assert told.value.pointer == "/data/split/folds"
