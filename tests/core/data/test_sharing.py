"""Runs of one process that ask for the same preparation get one; all others get their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.builtin import make_builtin
from core.data.prepare import Parts, prepare_parts
from core.data.sharing import derived_once, shared_preparations
from core.spec.limits import Limits
from core.spec.plan import check_job

NETWORK = {"layers": [{"type": "linear", "units": 4}]}


def asked(folder: Path, name: str = "iris", **changes: Any) -> Parts:
    """What a job with these fields trains on."""
    data = make_builtin(name, {}, folder)
    body: dict[str, Any] = {"data": {"dataset": name}, "network": NETWORK}
    spec = check_job({**body, **changes}, lambda _: data.schema, Limits()).spec
    return prepare_parts(spec, data.schema, data.data_path)


def test_what_does_not_matter_to_the_data_shares_them(tmp_path: Path) -> None:
    with shared_preparations():
        first = asked(tmp_path)
        others = [
            asked(tmp_path, optimizer={"type": "sgd", "lr": 0.5}),
            asked(tmp_path, training={"seed": 7, "epochs": 3, "batch_size": 8}),
            asked(tmp_path, network={"layers": [{"type": "linear", "units": 9}]}),
        ]
    assert all(other is first for other in others)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"dataset": "iris", "split": {"seed": 1}}},
        {"data": {"dataset": "iris", "preprocess": {"scale": "none"}}},
        {"data": {"dataset": "iris", "features": ["petal width (cm)"]}},
        {"training": {"precision": "float64"}},
    ],
    ids=["split", "preprocess", "features", "precision"],
)
def test_what_matters_to_the_data_does_not(tmp_path: Path, changes: dict[str, Any]) -> None:
    alone = asked(tmp_path, **changes)
    with shared_preparations():
        first = asked(tmp_path)
        other = asked(tmp_path, **changes)
    assert other is not first
    assert np.array_equal(other.train.x, alone.train.x)
    assert other.train.x.dtype == alone.train.x.dtype


def test_another_file_is_other_data(tmp_path: Path) -> None:
    with shared_preparations():
        assert asked(tmp_path / "one") is not asked(tmp_path / "two")


def test_nobody_can_change_what_others_share(tmp_path: Path) -> None:
    with shared_preparations():
        shared = asked(tmp_path)
    assert shared.validation is not None
    for array in (shared.train.x, shared.train.y, shared.validation.x):
        assert array is not None
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_outside_of_the_block_nothing_is_kept(tmp_path: Path) -> None:
    with shared_preparations():
        inside = asked(tmp_path)
    assert asked(tmp_path) is not inside
    assert asked(tmp_path) is not asked(tmp_path)


def test_what_is_made_of_a_preparation_is_made_once_for_each_key(tmp_path: Path) -> None:
    with shared_preparations():
        shared = asked(tmp_path)
        first = derived_once(shared, "rows", lambda: ["made"])
        assert derived_once(shared, "rows", lambda: ["again"]) is first
        assert derived_once(shared, "other rows", lambda: ["again"]) == ["again"]
        other = asked(tmp_path, data={"dataset": "iris", "split": {"seed": 1}})
        assert derived_once(other, "rows", lambda: ["of the other"]) == ["of the other"]
        # that is what is kept now
        assert derived_once(shared, "rows", lambda: ["anew"]) == ["anew"]
    assert derived_once(other, "rows", lambda: ["alone"]) == ["alone"]
