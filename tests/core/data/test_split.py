"""Every row goes to one part, the sizes are those asked for, the draw is a function of the seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.split import Split, column_split, group_split, part_sizes, random_split, stratified_split, time_split
from core.errors import TrainingFailed

shares = st.sampled_from([0.0, 0.1, 0.15, 0.25, 0.4])


def whole(split: Split, rows: int) -> None:
    together = np.concatenate([split.train, split.validation, split.test])
    assert np.array_equal(np.sort(together), np.arange(rows))
    assert all(np.array_equal(part, np.sort(part)) for part in (split.train, split.validation, split.test))


def same(a: Split, b: Split) -> bool:
    return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in ("train", "validation", "test"))


@settings(deadline=None)
@given(rows=st.integers(10, 300), validation=shares, test=shares, seed=st.integers(0, 2**53 - 1))
def test_a_random_split_has_the_sizes_and_depends_on_the_seed(
    rows: int, validation: float, test: float, seed: int
) -> None:
    split = random_split(rows, validation, test, seed)
    whole(split, rows)
    assert (len(split.validation), len(split.test)) == part_sizes(rows, validation, test)
    assert same(split, random_split(rows, validation, test, seed))


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=6).filter(lambda counts: sum(counts) >= 10),
    validation=shares,
    test=shares,
    seed=st.integers(0, 1000),
)
def test_a_stratified_split_keeps_the_shares(counts: list[int], validation: float, test: float, seed: int) -> None:
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    split = stratified_split(classes, validation, test, seed)
    whole(split, len(classes))
    assert set(classes[split.train]) == set(classes)
    wanted = part_sizes(len(classes), validation, test)
    for part, share in ((split.validation, wanted[0]), (split.test, wanted[1])):
        got = np.bincount(classes[part], minlength=len(counts))
        exact = np.array(counts) * share / len(classes)
        # one more or less by rounding; more only where a class of few rows had none to give
        if min(counts) * (1 - validation - test) >= 2:
            assert len(part) == share
            assert (np.abs(got - exact) < 1 + 1e-9).all()


def test_another_seed_gives_another_split() -> None:
    assert not same(random_split(100, 0.2, 0.2, 0), random_split(100, 0.2, 0.2, 1))
    classes = np.arange(100) % 3
    assert not same(stratified_split(classes, 0.2, 0.2, 0), stratified_split(classes, 0.2, 0.2, 1))


def test_the_draw_is_the_same_for_ever() -> None:
    """A stored seed must mean the same rows after an update."""
    assert (
        random_split(12, 0.25, 0.25, 7).test.tolist()
        == np.sort(np.random.Generator(np.random.PCG64(7)).permutation(12)[:3]).tolist()
    )


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 30), min_size=3, max_size=20), seed=st.integers(0, 1000))
def test_a_group_stays_on_one_side(sizes: list[int], seed: int) -> None:
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    split = group_split(groups, 0.2, 0.2, seed)
    whole(split, len(groups))
    sides = [set(groups[part]) for part in (split.train, split.validation, split.test)]
    assert all(sides)
    assert sum(map(len, sides)) == len(sizes)


def test_many_small_groups_come_close_to_the_fractions() -> None:
    split = group_split(np.repeat(np.arange(200), 5), 0.15, 0.15, 0)
    assert [len(split.train), len(split.validation), len(split.test)] == [700, 150, 150]


def test_the_latest_rows_test() -> None:
    split = time_split(np.array([5, 1, 4, 2, 3, 9, 8, 7, 6, 0]), 0.2, 0.2)
    assert split.test.tolist() == [5, 6]
    assert split.validation.tolist() == [7, 8]


def test_a_column_says_it_and_validation_is_taken_out_of_train_when_it_says_none() -> None:
    parts = np.array([0] * 8 + [2] * 4, dtype=np.int8)
    split = column_split(parts, 0.25, 0, None)
    assert split.test.tolist() == [8, 9, 10, 11]
    assert len(split.validation) == 2
    assert set(split.validation) <= set(range(8))
    stratified = column_split(parts, 0.25, 0, np.array([0, 1] * 6))
    assert sorted(np.array([0, 1] * 6)[stratified.validation]) == [0, 1]
    assert not len(column_split(parts, 0.0, 0, None).validation)
    assert column_split(np.array([0, 1, 2], dtype=np.int8), 0.5, 0, None).validation.tolist() == [1]


@pytest.mark.parametrize(
    ("split", "pointer"),
    [
        (lambda: random_split(2, 0.15, 0.15, 0), "/data/split"),
        (lambda: group_split(np.zeros(50, dtype=np.int64), 0.1, 0.1, 0), "/data/split/group"),
        (lambda: column_split(np.array([1, 2], dtype=np.int8), 0.1, 0, None), "/data/split/column"),
    ],
)
def test_a_split_that_cannot_be_is_a_data_error(split: object, pointer: str) -> None:
    with pytest.raises(TrainingFailed) as caught:
        split()  # type: ignore[operator]
    assert (caught.value.code, caught.value.pointer) == ("data_error", pointer)
