"""What a table's cells turn out to be."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from core.data.caps import Caps
from core.data.describe import preview_table
from core.data.frames import MISSING, read_csv, read_parquet
from core.data.table import StoredColumn
from core.errors import Invalid, TooLarge

CAPS = Caps(rows=10**6, columns=100, bytes=2**30, expanded_bytes=2**30)


def columns_of(text: str, folder: Path) -> dict[str, StoredColumn]:
    source = folder / "up.csv"
    source.write_text(text)
    return {column.name: column for column in read_csv(source, folder, CAPS)}


def one(cells: list[str], folder: Path) -> tuple[str, list[Any]]:
    """Type and values (None where missing) of a column of these cells, beside a column of ones."""
    text = "c,one\n" + "".join(f"{cell},1\n" for cell in cells)
    column = columns_of(text, folder)["c"]
    return column.type, [row["c"] for row in preview_table([column])]


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "2"], "integer", [1, 2]),
        (["1.5", "2"], "float", [1.5, 2.0]),
        (["1.0", "", "3.0"], "integer", [1, None, 3]),
        (["1e2", "2.5e-3"], "float", [100.0, 0.0025]),
        ([" 1.5", "2.5 ", "+3.5"], "float", [1.5, 2.5, 3.5]),
        (["true", "false", ""], "boolean", [True, False, None]),
        (["True", "False", "?"], "boolean", [True, False, None]),
        (["red", "", "NA", "blue"], "string", ["red", None, None, "blue"]),
        (["2024-02-29", "2024-03-01"], "datetime", ["2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"]),
        (["2024-02-29 12:30:00", ""], "datetime", ["2024-02-29T12:30:00Z", None]),
        (["2024-02-29T12:30:00+02:00"], "datetime", ["2024-02-29T10:30:00Z"]),
        (["2024-02-29T12:30:00.25Z"], "datetime", ["2024-02-29T12:30:00.250000Z"]),
        (["2024-02-30"], "string", ["2024-02-30"]),
        (["1", "2x"], "string", ["1", "2x"]),
        (["", "NA"], "float", [None, None]),
        (["9223372036854775807", "1"], "integer", [2**63 - 1, 1]),
        (["99999999999999999999", "1"], "float", [1e20, 1.0]),
    ],
)
def test_cells_get_the_type_that_all_of_them_have(
    cells: list[str], kind: str, values: list[Any], tmp_path: Path
) -> None:
    assert one(cells, tmp_path) == (kind, values)


@pytest.mark.parametrize("word", MISSING)
def test_a_word_for_nothing_leaves_a_column_numeric(word: str, tmp_path: Path) -> None:
    assert one(["1.5", word, f" {word} ", "2.5"], tmp_path) == ("float", [1.5, None, None, 2.5])


def test_a_late_text_makes_a_column_of_texts(tmp_path: Path) -> None:
    """Types are guessed from the first 10,000 rows; one further down may be of another."""
    text = "a,b\n" + "1,2\n" * 12_000 + "x,2.5\n"
    columns = columns_of(text, tmp_path)
    assert columns["a"].type == "string"
    assert columns["a"].texts == ("1", "x")
    assert columns["b"].type == "float"
    assert columns["b"].values[-1] == 2.5


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e400"])
def test_an_infinite_number_is_refused_with_its_row(cell: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="column 'c', row 3"):
        one(["1.5", "2.5", cell], tmp_path)


def test_quoted_cells_keep_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    columns = columns_of('a,b\n"x, ""y""",1\n"l1\nl2",2\n', tmp_path)
    assert [row["a"] for row in preview_table([columns["a"]])] == ['x, "y"', "l1\nl2"]


def test_integers_take_the_narrowest_type(tmp_path: Path) -> None:
    columns = columns_of("a,b,c\n1,300,-70000\n2,3,4\n", tmp_path)
    assert [columns[name].values.dtype for name in "abc"] == [np.int8, np.int16, np.int32]


def parquet(frame: pl.DataFrame, folder: Path) -> dict[str, StoredColumn]:
    path = folder / "up.parquet"
    frame.write_parquet(path)
    return {column.name: column for column in read_parquet(path, folder, CAPS)}


def test_a_parquet_file_keeps_its_types(tmp_path: Path) -> None:
    moment = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "f4": pl.Series([1.0, None, float("nan")], dtype=pl.Float32),
            "whole": [1.0, 2.0, 3.0],
            "u8": pl.Series([1, 2, 255], dtype=pl.UInt8),
            "gap": [1, None, 3],
            "flag": [True, None, False],
            "word": pl.Series(["b", None, "a"], dtype=pl.Categorical),
            "day": [date(2024, 1, 2), None, date(1960, 1, 1)],
            "moment": [moment] * 3,
            "money": pl.Series(["1.25", "2.50", None]).cast(pl.Decimal(10, 2)),
        }
    )
    columns = parquet(frame, tmp_path)
    assert {name: column.type for name, column in columns.items()} == {
        "f4": "float",
        "whole": "float",
        "u8": "integer",
        "gap": "integer",
        "flag": "boolean",
        "word": "string",
        "day": "datetime",
        "moment": "datetime",
        "money": "float",
    }
    assert columns["f4"].values.dtype == np.float32
    assert {name: int(column.missing.sum()) for name, column in columns.items() if column.missing.any()} == {
        "f4": 2,
        "gap": 1,
        "flag": 1,
        "word": 1,
        "day": 1,
        "money": 1,
    }
    first = preview_table(list(columns.values()))[0]
    assert first["word"] == "b"
    assert first["day"] == "2024-01-02T00:00:00Z"
    assert first["moment"] == "2024-05-06T07:08:09Z"
    assert first["money"] == 1.25


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pl.DataFrame({"a": [[1, 2]]}), "List"),
        (pl.DataFrame({"a": [b"x"]}), "Binary"),
        (pl.DataFrame({"a": []}), "0 rows"),
        (pl.DataFrame({"a": [1.0, float("inf")]}), "row 2"),
    ],
)
def test_a_parquet_file_that_is_no_table_is_refused(frame: pl.DataFrame, said: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=said):
        parquet(frame, tmp_path)


def test_declared_rows_are_checked_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "up.parquet"
    buffer = io.BytesIO()
    pl.DataFrame({"a": pl.zeros(1_000_000, dtype=pl.Int64, eager=True)}).write_parquet(buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(TooLarge, match="rows: 1,000,000 rows, at most 1,000"):
        read_parquet(path, tmp_path, CAPS._replace(rows=1000))
    with pytest.raises(TooLarge, match="declared size: 8,000,000 bytes"):
        read_parquet(path, tmp_path, CAPS._replace(expanded_bytes=1_000_000))
