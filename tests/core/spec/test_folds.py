"""The plan of a cross-validation: each fold's rows, steps and seconds of all, and what cannot be dealt out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.spec.sets import faults, job, plan


def _folds(folds: int, **split: Any) -> dict[str, Any]:
    return {"split": {"folds": folds, "test": 0.1, **split}}


def test_sizes_of_each_fold_and_steps_of_all() -> None:
    found = plan(job("people", data={"target": "bought", **_folds(7)}, training={"epochs": 3, "batch_size": 100}))
    assert [fold["validation"] for fold in found.fold_sizes] == [129, 129, 129, 129, 128, 128, 128]
    assert all(sum(fold.values()) == 1000 for fold in found.fold_sizes)
    assert found.split_sizes == {"train": 772, "validation": 128, "test": 100}
    assert (found.steps_per_epoch, found.total_steps) == (8, 7 * 3 * 8)
    assert found.to_json()["fold_sizes"] == [dict(fold) for fold in found.fold_sizes]
    assert found.lr_preview[-1]["step"] == 3 * 8 - 1


def test_time_and_limits_are_of_all_folds() -> None:
    long = {"epochs": 1000}
    one = plan(job("digits", data={"split": {"test": 0.1}}, training=long))
    ten = plan(job("digits", data=_folds(10), training=long))
    assert 8 < ten.time_estimate_s / one.time_estimate_s < 12
    body = job("digits", data=_folds(20), training={"epochs": 1_000_000, "batch_size": 8})
    assert faults(body)["/training/epochs"] == "too_many_steps"


def test_without_folds_nothing_is_said_of_them() -> None:
    assert plan(job("digits")).to_json()["fold_sizes"] is None


def test_a_window_grows_in_time_order() -> None:
    found = plan(job("people", data={"target": "income", **_folds(3, order_by="age")}))
    assert [(fold["train"], fold["validation"]) for fold in found.fold_sizes] == [(225, 225), (450, 225), (675, 225)]


def test_folds_validate_whatever_the_fraction_says() -> None:
    stopping = {"early_stopping": {"monitor": "validation.loss"}}
    assert plan(job("digits", data=_folds(3, validation=0.0), training=stopping)).spec.training.early_stopping


@pytest.mark.parametrize(
    ("split", "where", "code"),
    [
        ({"folds": 1}, "/data/split/folds", "out_of_range"),
        ({"folds": 21}, "/data/split/folds", "out_of_range"),
        ({"folds": 2.5}, "/data/split/folds", "wrong_type"),
        ({"folds": 5, "group": "city"}, "/data/split/folds", "too_many_folds"),
    ],
)
def test_folds_that_cannot_be(split: dict[str, Any], where: str, code: str) -> None:
    assert faults(job("people", data={"target": "income", "split": split}))[where] == code
