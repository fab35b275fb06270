"""Columns in a plan: what an embedding in front is told, what is refused and how."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import Invalid
from tests.core.spec.sets import fault_details, faults, job, plan

EMBEDDED = {"target": "bought", "features": ["age", "city", "children", "member"]}


def embedded(**preprocess: Any) -> dict[str, Any]:
    return {**EMBEDDED, "preprocess": {"categorical": "embedding", **preprocess}}


def test_the_plan_puts_an_embedding_in_front() -> None:
    body = {"data": {"dataset": "people", **embedded(categories=["children"])}, "network": {"family": "feed_forward"}}
    made = plan(body)
    first = made.spec.layered().model_dump(mode="json")["layers"][0]
    # three cities and seven numbers of children, and one more each; half of that wide
    assert first["type"] == "column_embedding"
    assert first["columns"] == [
        {"column": "city", "units": 2, "index": 1, "entries": 4},
        {"column": "children", "units": 4, "index": 2, "entries": 8},
    ]
    assert made.input_shape == (4,)
    assert (made.layers[0].output_shape, made.layers[0].parameters) == ((2 + 2 + 4,), 4 * 2 + 8 * 4)
    again = plan(made.spec.model_dump(mode="json"))
    assert again.spec == made.spec
    assert again.layers[0].output_shape == made.layers[0].output_shape


def test_widths_can_be_chosen_and_places_follow_the_data() -> None:
    layer = {"type": "column_embedding", "columns": [{"column": "city", "units": 9, "index": 77, "entries": 1}]}
    made = plan(job("people", layer, data=embedded()))
    (column,) = made.spec.layered().model_dump(mode="json")["layers"][0]["columns"]
    assert column == {"column": "city", "units": 9, "index": 1, "entries": 4}
    assert [each.type for each in made.layers] == ["column_embedding", "linear"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (job("people", {"type": "column_embedding"}, data=EMBEDDED), {"/network/layers/0": "needs_codes"}),
        (
            job("people", {"type": "relu"}, {"type": "column_embedding"}, data=embedded()),
            {"/network/layers/1": "needs_codes"},
        ),
        (
            job("people", {"type": "column_embedding", "columns": [{"column": "age"}]}, data=embedded()),
            {"/network/layers/0/columns/0/column": "unknown_column"},
        ),
        (
            job("people", data={**embedded(), "target": None}, task="reconstruction"),
            {"/data/preprocess/categorical": "wrong_task"},
        ),
        (
            job("people", {"type": "flatten"}, data={**embedded(), "input_shape": [2, 2]}),
            {"/data/preprocess/categorical": "needs_flat"},
        ),
        (job("people", data=embedded(categories=["age"])), {"/data/preprocess/categories/0": "unknown_column"}),
        (
            job("people", data={"target": "bought", "preprocess": {"categories": ["household"]}}),
            {"/data/preprocess/categories/0": "too_many_categories"},
        ),
        (job("people", data={"target": "bought", "features": ["born"]}), {"/data/features/0": "unusable_column"}),
    ],
)
def test_faults_name_the_field(body: dict[str, Any], expected: dict[str, str]) -> None:
    found = faults(body)
    assert expected.items() <= found.items()
    assert {pointer: found[pointer] for pointer in found if pointer not in expected and "embedding" in pointer} == {}


def test_times_are_features_when_asked_for() -> None:
    made = plan(job("people", data={"target": "bought", "features": ["born"], "preprocess": {"dates": "parts"}}))
    assert made.input_shape == (7,)
    left_out = plan(job("people", data={"target": "bought"}))
    said = next(each.detail for each in left_out.warnings if each.code == "columns_left_out")
    assert '"born": times are features only with data.preprocess.dates parts' in said
    with pytest.raises(Invalid):
        plan(job("people", data={"target": "born", "preprocess": {"dates": "parts"}}))


def test_a_gap_in_what_may_have_none_is_told_before_the_run() -> None:
    body = job("people", data={"target": "bought", "features": ["income"], "preprocess": {"impute": "none"}})
    assert "do set it to mean" in fault_details(body)["/data/preprocess/impute"].detail


def test_an_indicator_is_one_more_input() -> None:
    made = plan(job("people", data={"target": "bought", "features": ["age", "income"]}))
    more = plan(
        job(
            "people",
            data={"target": "bought", "features": ["age", "income"], "preprocess": {"missing_indicator": True}},
        )
    )
    assert (made.input_shape, more.input_shape) == ((2,), (3,))
