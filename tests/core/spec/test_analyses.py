"""Requests for analyses: read strictly, with every fault at once."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import Invalid
from core.spec.analyses import ANALYSES, LossLandscape
from core.spec.analysis_request import read_analysis


def faults(body: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        read_analysis(body)
    assert all(each.detail.startswith("received ") and "do " in each.detail for each in caught.value.errors)
    return [(each.pointer, each.code) for each in caught.value.errors]


@pytest.mark.parametrize("name", ANALYSES)
def test_a_type_alone_is_a_request(name: str) -> None:
    request = read_analysis({"type": name})
    assert request.type == name
    assert read_analysis(request.model_dump(mode="json")) == request
    assert request.needs_data == (name != "filters")


def test_every_field_is_described() -> None:
    for model in ANALYSES.values():
        for name, field in model.model_fields.items():
            assert name == "type" or field.description, f"{model.__name__}.{name}"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ([], [("", "not_an_object")]),
        ({}, [("/type", "missing")]),
        ({"type": "confusio"}, [("/type", "unknown_type")]),
        ({"type": ["roc"]}, [("/type", "unknown_type")]),
        ({"type": "roc", "point": 3}, [("/point", "unknown_field")]),
        ({"type": "roc", "points": 3, "axes": "x"}, [("/axes", "unknown_value"), ("/points", "out_of_range")]),
        ({"type": "roc", "positive": [1]}, [("/positive", "wrong_type")]),
        ({"type": "loss_landscape", "points": 20}, [("/points", "even_points")]),
        ({"type": "loss_landscape", "points": 101, "rows": 5000}, [("/rows", "too_many_points")]),
        (
            {"type": "decision_boundary", "plane": "principal", "features": ["a", "b"]},
            [("/features", "conflicting_plane")],
        ),
        ({"type": "graph", "rows": True}, [("/rows", "wrong_type")]),
    ],
)
def test_faults_name_their_field(body: Any, wanted: list[tuple[str, str]]) -> None:
    assert sorted(faults(body)) == sorted(wanted)


def test_what_is_needed_is_known_before() -> None:
    assert LossLandscape(directions="trajectory").needs_trajectory
    assert not LossLandscape().needs_trajectory
