"""Rows for predict, read from files as the training data was read."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from core.data import frames
from netmill.rows import MISSING, Question, read_question


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_cells_are_read_by_their_columns_type(tmp_path: Path, name: str) -> None:
    text = '\ufeffage,code,member,note\n41,007,true,"a, b"\n,012,0,NA\n1.5e3,9,maybe,x\n'
    types = {"age": "float", "code": "string", "member": "boolean", "note": "string"}
    assert read_question(written(tmp_path, name, text), types).rows == [
        {"age": 41, "code": "007", "member": True, "note": "a, b"},
        {"age": None, "code": "012", "member": False, "note": None},
        {"age": 1500.0, "code": "9", "member": "maybe", "note": "x"},
    ]


def test_without_types_numbers_are_numbers(tmp_path: Path) -> None:
    assert read_question(written(tmp_path, "a.csv", "x,y\n1,a\n-2.5,\n")).rows == [
        {"x": 1, "y": "a"},
        {"x": -2.5, "y": None},
    ]


@pytest.mark.parametrize("line", ["1", "1,2,3"])
def test_a_ragged_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match="line 3"):
        read_question(written(tmp_path, "a.csv", f"x,y\n1,2\n{line}\n"))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("a.json", [{"x": 1}], Question(rows=[{"x": 1}])),
        ("a.json", {"x": 1}, Question(rows=[{"x": 1}])),
        ("a.json", {"rows": [{"x": 1}]}, Question(rows=[{"x": 1}])),
        ("a.json.gz", {"inputs": [[1, 2]]}, Question(inputs=[[1, 2]])),
        ("a.json", [[1, 2], [3, 4]], Question(inputs=[[1, 2], [3, 4]])),
        ("a.jsonl", {"x": 1}, Question(rows=[{"x": 1}])),
    ],
)
def test_json_says_itself_what_it_is(tmp_path: Path, name: str, value: Any, expected: Question) -> None:
    assert read_question(written(tmp_path, name, json.dumps(value))) == expected


@pytest.mark.parametrize("text", ["3", "{", "\x00"])
def test_what_is_no_question_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"a\.json"):
        read_question(written(tmp_path, "a.json", text))


def test_what_counts_as_missing_is_what_the_service_counts() -> None:
    assert frozenset(frames.MISSING) == MISSING


def test_a_cell_is_a_number_only_where_everybody_says_so(tmp_path: Path) -> None:
    assert read_question(written(tmp_path, "a.csv", "x,y,z\n1_000,inf,-Infinity\n")).rows == [
        {"x": "1_000", "y": "inf", "z": "-Infinity"}
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"\xff\xfe", "utf-8"),
        ("a.csv.gz", b"\x1f\x8bxx", "cannot be read"),
        ("a.json.gz", gzip.compress(b"[1, 2]", mtime=0)[:-9], "cannot be read"),
        ("a.json", b'[{"x": NaN}]', "NaN is no number"),
        ("a.txt", b"1", r"expected a name that ends in \.csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{re.escape(name)}.*{said}"):
        read_question(tmp_path / name)
