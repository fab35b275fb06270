"""What is kept of values that are costly to make."""

from __future__ import annotations

import pytest

from core.db.session import written
from core.services.recent import Recent


def test_a_value_is_made_once_and_the_one_not_used_for_longest_goes_first() -> None:
    recent: Recent[str, str] = Recent(2)
    made: list[str] = []

    def get(key: str) -> str:
        return recent.get(key, lambda: made.append(key) or key.upper())  # type: ignore[func-returns-value]

    assert [get(key) for key in "abab"] == ["A", "B", "A", "B"]
    get("a")
    get("c")
    assert [get("a"), get("b")] == ["A", "B"]
    assert made == ["a", "b", "c", "b"]


def test_what_cannot_be_made_is_tried_again() -> None:
    recent: Recent[str, int] = Recent(2)
    with pytest.raises(ZeroDivisionError):
        recent.get("a", lambda: 1 // 0)
    assert recent.get("a", lambda: 1) == 1


def test_a_written_document_is_the_document_with_its_text() -> None:
    document = {"a": [1, None], "b": "ü"}
    assert written(document) == document
    assert written(document).text == '{"a":[1,null],"b":"ü"}'
