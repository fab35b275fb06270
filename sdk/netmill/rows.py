"""Rows to ask a model about, read from a file."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

# what the service reads as "not there" in an uploaded CSV
MISSING = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "Null", "None", "?"})
JSON_LINES = frozenset({".jsonl", ".ndjson"})


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
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in JSON_LINES | {".csv", ".json"}:
        raise ValueError(
            f"received {path.name}, expected a name that ends in .csv, .json or .jsonl (or these with .gz)"
        )
    content = path.read_bytes()
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        text = content.decode("utf-8-sig")
        if suffix == ".csv":
            return Question(rows=_csv_rows(text, types or {}))
        if suffix in JSON_LINES:
            return _question_of([loads(line) for line in text.splitlines() if line.strip()])
        return _question_of(loads(text))
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error, csv.Error) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error


def loads(text: str) -> Any:
    """The JSON; raises ValueError, for NaN and Infinity too, which Python reads and JSON does not have."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON; write null where a value is not known")


def _question_of(value: Any) -> Question:
    if isinstance(value, dict) and (value.keys() & {"rows", "inputs"}):
        return Question(rows=value.get("rows"), inputs=value.get("inputs"))
    if isinstance(value, dict):
        return Question(rows=[value])
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return Question(rows=value)
    if isinstance(value, list):
        return Question(inputs=value)
    raise ValueError(f"it holds {json.dumps(value)[:40]}, expected a list of rows (objects) or of inputs (arrays)")


def _csv_rows(text: str, types: Mapping[str, str]) -> list[dict[str, Any]]:
    if not text.strip():
        raise ValueError("it is empty; line 1 must hold the names of the columns")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise ValueError(f"line {reader.line_num} has not as many cells as the header (line 1)")
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
            value = read(text)
        except ValueError:
            continue
        # Python reads 1_000 and inf; the service shall say what it thinks of them
        return value if math.isfinite(value) and "_" not in text else text
    return text
