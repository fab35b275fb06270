"""Windows of a forecast: how many fit, what a plan writes out, what does not go with them."""

from __future__ import annotations

from typing import Any

import pytest

from core.spec.job import JobSpec
from core.spec.windows import WindowSpec, window_sizes, windows_in
from tests.core.spec.sets import fault_details, faults, job, plan

WINDOW = {"length": 10, "horizon": 5, "columns": ["age", "income"]}


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("rows", [4, 5, 15, 16, 40])
@pytest.mark.parametrize("looks_back", [0, 4, 100])
def test_windows_are_counted_as_a_loop_counts_them(rows: int, looks_back: int, stride: int) -> None:
    window = WindowSpec(length=10, horizon=5, stride=stride)
    starts = [s for s in range(-looks_back, rows) if s + 10 >= 0 and s + 15 <= rows]
    starts = [s for s in starts if s + 10 >= (0 if looks_back else 10)]
    expected = len(starts[::stride])
    assert windows_in(rows, window, looks_back=looks_back) == expected


def test_parts_of_several_series_add_up() -> None:
    window = WindowSpec(length=10, horizon=5)
    parts = [{"train": 30, "validation": 6, "test": 8}, {"train": 20, "validation": 5, "test": 0}]
    assert window_sizes(parts, window) == {"train": 16 + 6, "validation": 2 + 1, "test": 4}
    own = window.model_copy(update={"context": "own"})
    assert window_sizes(parts, own) == {"train": 22, "validation": 0, "test": 0}


def test_a_plan_writes_out_what_windows_decide() -> None:
    found = plan(job("people", data={"window": WINDOW, "features": ["age", "income", "height"]}))
    data = found.spec.data
    assert (data.target, found.spec.task) == (("age", "income"), "regression")
    assert data.preprocess.target_scale == "standard"
    assert (found.input_shape, found.output_shape) == ((10, 3), (10,))
    assert found.spec.metrics is not None
    assert set(found.spec.metrics) == {"mse", "rmse", "mae", "r2", "scaled_mse", "scaled_mae"}
    assert found.split_sizes == {"train": 700 - 14, "validation": 146, "test": 146}
    assert [warned.code for warned in found.warnings if warned.pointer == "/data/split/order_by"] == [
        "rows_as_they_stand"
    ]
    again = plan(found.spec.model_dump(mode="json"))
    assert again.spec == found.spec
    assert JobSpec.model_validate(found.spec.model_dump(mode="json")) == found.spec


def test_columns_follow_from_the_target_or_are_all_numbers() -> None:
    one = plan(job("people", data={"target": "income", "window": {"length": 3}})).spec.data
    assert one.window is not None
    assert one.window.columns == ("income",)
    every = plan(job("people", data={"window": {"length": 3}})).spec.data
    assert every.window is not None
    assert every.window.columns is not None
    assert set(every.window.columns) == {"age", "height", "income", "household", "weight", "children", "change"}
    unscaled = {"target": "income", "window": {"length": 3}, "preprocess": {"target_scale": "none"}}
    assert plan(job("people", data=unscaled)).spec.data.preprocess.target_scale == "none"


def test_the_order_goes_with_groups_and_parts() -> None:
    for split in ({"group": "household", "order_by": "born"}, {"column": "part", "order_by": "born"}):
        found = plan(job("people", data={"window": {**WINDOW}, "split": split}))
        assert found.spec.data.split.order_by == "born"
        assert "born" not in found.features
        window = found.spec.data.window
        assert window is not None
        assert window.series == split.get("group")
    assert faults(job("people", data={"target": "bought", "split": split})) == {
        "/data/split/column": "conflicting_split"
    }


@pytest.mark.parametrize(
    ("data", "more", "where", "code"),
    [
        ({"columns": ["city"]}, {}, "/data/window/columns/0", "no_numbers"),
        ({"columns": ["agee"]}, {}, "/data/window/columns/0", "unknown_column"),
        ({"columns": ["age", "age"]}, {}, "/data/window/columns/1", "duplicate"),
        ({"length": 0}, {}, "/data/window/length", "out_of_range"),
        ({"length": 900}, {}, "/data/window/length", "no_training_rows"),
        ({"series": "no"}, {}, "/data/window/series", "unknown_column"),
        ({}, {"target": "height"}, "/data/window/columns", "two_targets"),
        ({}, {"weight": "weight"}, "/data/weight", "not_with_window"),
        ({}, {"preprocess": {"normalize": "l2"}}, "/data/preprocess/normalize", "not_with_window"),
        ({}, {"split": {"folds": 3, "test": 0.2}}, "/data/split/folds", "not_with_window"),
        ({}, {"input_shape": [1, 2]}, "/data/input_shape", "not_with_window"),
    ],
)
def test_what_does_not_go_with_windows(data: dict[str, Any], more: dict[str, Any], where: str, code: str) -> None:
    body = job("people", data={"window": {**WINDOW, **data}, "features": ["age", "height"], **more})
    assert faults(body).get(where) == code


def test_windows_need_a_table_and_numbers() -> None:
    assert faults(job("images", data={"window": {"length": 3}})) == {"/data/window": "needs_columns"}
    body = job("people", data={"window": WINDOW}, task="classification")
    assert "expected regression or auto" in fault_details(body)["/task"].detail


@pytest.mark.parametrize(
    ("window", "split", "code"),
    [
        ({"length": 10, "horizon": 151}, {}, "no_windows"),
        ({"length": 10, "horizon": 120}, {"validation": 0.15, "test": 0.1}, "no_windows"),
        ({"length": 10, "horizon": 120}, {"validation": 0.15, "test": 0}, None),
        ({"length": 140, "horizon": 20, "context": "own"}, {}, "no_windows"),
        ({"length": 140, "horizon": 20}, {}, None),
        ({"length": 690, "horizon": 20}, {}, "no_training_rows"),
    ],
)
def test_a_part_in_which_no_window_fits_is_told_before_the_run(
    window: dict[str, Any], split: dict[str, Any], code: str | None
) -> None:
    body = job("people", data={"window": {**window, "columns": ["age"]}, "features": ["age"], "split": split})
    assert faults(body) == ({} if code is None else {"/data/window/length": code})
    if code is None:
        assert plan(body).split_sizes["validation"] > 0
