"""ETags and who has them already."""

from __future__ import annotations

import pytest

from api.conditional import etag_of, matches, to_json
from api.schemas.history import MetricRow


def test_an_etag_is_a_function_of_the_bytes() -> None:
    assert etag_of(b"a") == etag_of(b"a") != etag_of(b"b")
    assert etag_of(b"a").startswith('"')


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, False), ("", False), ('"x"', True), ('W/"x"', True), ('"y", "x"', True), ("*", True), ('"y"', False)],
)
def test_if_none_match(header: str | None, expected: bool) -> None:
    assert matches(header, '"x"') is expected


def test_a_number_that_is_not_finite_leaves_as_null() -> None:
    row = {"seq": 1, "epoch": 1, "step": 2, "time": "2026-01-01T00:00:00Z", "values": {"a": float("nan")}}
    assert b'"values":{"a":null}' in to_json(MetricRow.model_validate(row))
    assert b'"time":"2026-01-01T00:00:00.000000Z"' in to_json(MetricRow.model_validate(row))
