"""Target, task, classes, weight, split and features: what is decided, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from core.spec.dataset import ArrayInfo, Column, DatasetSchema
from core.spec.limits import Limits
from core.spec.plan import check_job
from tests.core.spec.sets import fault_details, faults, job, numbers, plan


@pytest.mark.parametrize(
    ("body", "task", "classes"),
    [
        (job("digits"), "classification", tuple(range(10))),
        (job("people", data={"target": "bought"}), "classification", ("no", "yes")),
        (job("people", data={"target": "member"}), "classification", (False, True)),
        (job("people", data={"target": "children"}), "classification", tuple(range(7))),
        (job("people", data={"target": "children"}, task="regression"), "regression", None),
        (job("people", data={"target": "household"}), "regression", None),
        (job("people", data={"target": "income"}), "regression", None),
        (job("people", data={"target": ["age", "children"]}), "regression", None),
        (job("people"), "reconstruction", None),
        (job("digits", task="reconstruction"), "reconstruction", None),
        (job("images"), "classification", (0, 1, 2)),
        (job("images", task="reconstruction"), "reconstruction", None),
        (job("targets"), "regression", None),
        (job("only_x", {"type": "flatten"}), "reconstruction", None),
    ],
)
def test_the_task_follows_from_the_target(body: dict[str, Any], task: str, classes: tuple[object, ...] | None) -> None:
    planned = plan(body)
    assert planned.spec.task == task
    assert planned.classes == classes


@pytest.mark.parametrize(
    ("body", "where", "code"),
    [
        (job("people", data={"target": "born"}), "/data/target", "datetime_target"),
        (job("people", data={"target": "letter"}, task="classification"), "/data/target", "no_classes"),
        (job("people", data={"target": "city"}, task="regression"), "/data/target", "no_numbers"),
        (job("people", data={"target": ["age", "city"]}), "/data/target", "no_numbers"),
        (job("people", data={"target": ["age", "age"]}), "/data/target/1", "duplicate"),
        (job("people", data={"target": ["age", "agee"]}), "/data/target/1", "unknown_column"),
        (job("people", data={"target": ["age", "city"]}, task="classification"), "/data/target", "one_target"),
        (job("people", task="classification"), "/data/target", "missing"),
        (job("people", data={"target": "age"}, task="reconstruction"), "/data/target", "no_classes"),
        (job("images", data={"target": "label"}), "/data/target", "unknown_array"),
        (job("only_x", {"type": "flatten"}, data={"target": "y"}), "/data/target", "unknown_array"),
        (job("targets", task="classification"), "/task", "no_classes"),
        (job("images", data={"features": ["x"]}), "/data/features", "needs_columns"),
        (job("images", data={"weight": "w"}), "/data/weight", "unknown_array"),
        (job("images", data={"split": {"column": "split"}}), "/data/split/column", "unknown_array"),
        (job("people", data={"weight": "wieght"}), "/data/weight", "unknown_column"),
        (job("people", data={"weight": "city"}), "/data/weight", "no_numbers"),
        (job("people", data={"target": "income", "weight": "income"}), "/data/weight", "two_parts"),
        (job("people", data={"split": {"column": "city"}}), "/data/split/column", "split_values"),
        (job("people", data={"split": {"order_by": "city"}}), "/data/split/order_by", "no_order"),
        (job("people", data={"split": {"order_by": "income"}}), "/data/split/order_by", "missing_values"),
        (job("people", data={"split": {"group": "income"}}), "/data/split/group", "missing_values"),
        (job("people", data={"split": {"column": "income"}}), "/data/split/column", "missing_values"),
        (
            job("people", data={"split": {"order_by": "born", "group": "household"}}),
            "/data/split/order_by",
            "conflicting_split",
        ),
        (job("people", data={"features": ["born"]}), "/data/features/0", "unusable_column"),
        (job("people", data={"features": ["age", "age"]}), "/data/features/1", "duplicate"),
        (job("people", data={"target": "age", "features": ["age"]}), "/data/features/0", "leak"),
        (job("people", data={"weight": "weight", "features": ["weight"]}), "/data/features/0", "leak"),
        (job("people", data={"preprocess": {"impute": "none"}}), "/data/preprocess/impute", "missing_values"),
        (job("digits", data={"input_shape": [1, 8, 9]}), "/data/input_shape", "shape_mismatch"),
        (
            job("digits", data={"preprocess": {"target_scale": "standard"}}),
            "/data/preprocess/target_scale",
            "wrong_task",
        ),
    ],
)
def test_what_the_data_do_not_allow(body: dict[str, Any], where: str, code: str) -> None:
    assert faults(body)[where] == code


def test_rows_that_no_split_column_marks_are_one_fault() -> None:
    assert list(faults(job("people", data={"split": {"column": "city"}}))) == ["/data/split/column"]


def test_features_are_every_column_without_another_part() -> None:
    data = {"target": "bought", "weight": "weight", "split": {"group": "household"}}
    planned = plan(job("people", data=data))
    assert planned.features == ("age", "height", "income", "city", "member", "part", "children", "change")
    assert planned.input_shape == (3 + 3 + 1 + 2 + 1 + 1,)  # city and part are one-hot, member is 0 or 1
    left_out = next(warning for warning in planned.warnings if warning.code == "columns_left_out")
    assert '"born"' in left_out.detail
    assert '"letter"' in left_out.detail
    assert planned.spec.data.features == planned.features


def test_derived_features_are_added_in_order() -> None:
    derive = {"bmi": "height / age ** 2", "more": "bmi * member"}
    planned = plan(job("people", data={"target": "bought", "features": ["more", "age"], "derive": derive}))
    assert planned.features == ("more", "age", "bmi")
    assert planned.input_shape == (3,)


@pytest.mark.parametrize(
    ("derive", "code"),
    [
        ({"a": "age +"}, "bad_expression"),
        ({"a": "agge * 2"}, "unknown_column"),
        ({"a": "city * 2"}, "unknown_column"),
        ({"a": "change * 2"}, "unknown_column"),  # the target would leak
        ({"a": "b", "b": "age"}, "unknown_column"),  # formulas read those above them
        ({"age": "height"}, "taken"),
    ],
)
def test_formulas_that_are_refused(derive: dict[str, str], code: str) -> None:
    name = next(iter(derive))
    body = job("people", data={"target": "change", "derive": derive})
    assert faults(body)[f"/data/derive/{name}"] == code


def test_a_derived_column_that_would_leak_says_so() -> None:
    body = job("people", data={"target": "change", "derive": {"a": "change * 2"}})
    assert "it is the target" in fault_details(body)["/data/derive/a"].detail


def test_input_shape_gives_a_table_axes() -> None:
    planned = plan(job("digits", {"type": "flatten"}, data={"input_shape": [1, 8, 8]}))
    assert planned.input_shape == (1, 8, 8)
    assert planned.output_shape == (10,)


def test_too_many_categories_are_left_out_or_refused() -> None:
    limits = Limits(categories=2)
    body = job("people", data={"target": "bought"})
    assert "city" not in plan(body, limits).features
    body["data"]["features"] = ["city"]
    assert faults(body, limits) == {"/data/features/0": "unusable_column"}


def test_stratify_is_written_as_it_is_done() -> None:
    assert plan(job("digits")).spec.data.split.stratify
    assert not plan(job("people", data={"target": "income"})).spec.data.split.stratify
    grouped = job("people", data={"target": "bought", "split": {"group": "household"}})
    assert not plan(grouped).spec.data.split.stratify


def test_arrays_weigh_and_split_by_themselves() -> None:
    data = plan(job("images")).spec.data
    assert (data.target, data.weight, data.split.column) == ("y", "weight", None)


@pytest.mark.parametrize(("task", "expected"), [("auto", "regression"), ("classification", "classification")])
def test_labels_in_floats_are_numbers_until_the_task_says_classes(task: str, expected: str) -> None:
    y = ArrayInfo(name="y", shape=(), dtype="float32", categories=(-1, 1), counts=(40, 60))
    x = ArrayInfo(name="x", shape=(3,), dtype="float32")
    label = Column(name="label", type="float", distinct=2, categories=(0, 1), counts=(50, 50))
    arrays = DatasetSchema(kind="arrays", rows=100, arrays=(x, y))
    table = DatasetSchema(kind="table", rows=100, columns=(*numbers("a"), label))
    for schema, data in ((arrays, {}), (table, {"target": "label"})):
        planned = check_job(job("floats", data=data, task=task), lambda _, one=schema: one, Limits())
        assert planned.spec.task == expected
        warned = [(one.code, one.pointer) for one in planned.warnings if one.code == "looks_like_classes"]
        assert warned == ([("looks_like_classes", "/task")] if task == "auto" else [])
