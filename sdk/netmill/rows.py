"""Rows to ask a model about, read from a file."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# what Polars and pandas read as "not there"
MISSING = frozenset({"", "NA", "NaN", "nan", "null", "None"})


@dataclass(frozen=True)
class Question:
    """Either rows of a table or arrays."""

    rows: list[dict[str, Any]] | None = None
    inputs: list[Any] | None = None


def read_question(path: Path, types: Mapping[str, str] | None = None) -> Question:
    """What a .csv, .json or .jsonl file (also gzipped) asks; `types` are the column types of the training data.

    JSON is a list of objects, a list of arrays, or an object with `rows` or `inputs`. In a CSV each cell is read by its
    column's type, since "007" may be a number or a name. Raises ValueError that says what is wrong with the file.
    """
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    text = content.decode("utf-8-sig")
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if ".csv" in suffixes:
        return Question(rows=_csv_rows(text, types or {}))
    try:
        if suffixes & {".jsonl", ".ndjson"}:
            return _question_of([json.loads(line) for line in text.splitlines() if line.strip()], path)
        return _question_of(json.loads(text), path)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}; give a .csv, .json or .jsonl file") from error


def _question_of(value: Any, path: Path) -> Question:
    if isinstance(value, dict) and (value.keys() & {"rows", "inputs"}):
        return Question(rows=value.get("rows"), inputs=value.get("inputs"))
    if isinstance(value, dict):
        return Question(rows=[value])
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return Question(rows=value)
    if isinstance(value, list):
        return Question(inputs=value)
    raise ValueError(f"{path.name} holds {type(value).__name__}, expected rows (objects) or inputs (arrays)")


def _csv_rows(text: str, types: Mapping[str, str]) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise ValueError(f"line {reader.line_num} has not as many cells as the header")
        rows.append({name: _cell(cell, types.get(name)) for name, cell in row.items()})
    return rows


def _cell(text: str, kind: str | None) -> Any:
    """A CSV cell as its column's type has it; without a known type, a number when it reads as one."""
    if text.strip() in MISSING:
        return None
    if kind in ("string", "datetime"):
        return text
    if kind == "boolean":
        return {"true": True, "1": True, "false": False, "0": False}.get(text.strip().lower(), text)
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
