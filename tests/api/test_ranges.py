"""Which part of a file a Range header means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.ranges import NotSatisfiable, parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-7", (0, 8)),
        ("bytes=0-", (0, 100)),
        ("bytes=90-", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=99-99", (99, 100)),
        ("bytes=50-1000000", (50, 100)),
        (" Bytes = 0 - 7 ", (0, 8)),
    ],
)
def test_one_part(header: str, expected: tuple[int, int]) -> None:
    assert parse_range(header, 100) == expected


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes=-", "bytes=7-0", "bytes=0-1,5-6", "rows=0-7", "bytes=a-b", "bytes=0-" + "9" * 5000, "bytes=--1"],
)
def test_what_is_no_single_part_sends_the_whole(header: str | None) -> None:
    assert parse_range(header, 100) is None


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)])
def test_a_part_behind_the_end_cannot_be_sent(header: str, size: int) -> None:
    with pytest.raises(NotSatisfiable):
        parse_range(header, size)


@given(st.text(max_size=30), st.integers(0, 1000))
def test_no_header_breaks_it(header: str, size: int) -> None:
    try:
        part = parse_range("bytes=" + header, size)
    except NotSatisfiable:
        return
    assert part is None or 0 <= part[0] < part[1] <= size
