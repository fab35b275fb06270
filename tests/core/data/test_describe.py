"""Schema, profile and preview against NumPy, and their bounds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.data.describe import CATEGORY_BUDGET, PREVIEW_VALUES, describe_arrays, describe_table
from core.data.table import NO_TIME, StoredColumn, StoredTable, narrowest, read_arrays, write_arrays, write_table
from core.spec.dataset import DatasetSchema


def column(name: str, values: list[float]) -> StoredColumn:
    return StoredColumn(name, "float", np.array(values))


def test_statistics_are_numpys() -> None:
    values = np.random.default_rng(0).normal(3, 2, 5000)
    values[::100] = np.nan
    _, profile, _ = describe_table([StoredColumn("a", "float", values)])
    (facts,) = profile["columns"]
    known = values[~np.isnan(values)]
    assert facts["missing"] == 50
    assert facts["distinct"] == len(known)
    for name, value in (("mean", known.mean()), ("std", known.std()), ("min", known.min()), ("max", known.max())):
        assert facts[name] == pytest.approx(value, rel=1e-12)
    assert facts["quantiles"]["0.25"] == pytest.approx(np.quantile(known, 0.25))
    counts, edges = np.histogram(known, 20)
    assert facts["histogram"] == {"edges": edges.tolist(), "counts": counts.tolist()}


@pytest.mark.parametrize(
    "values", [[1.0], [2.0, 2.0], [1e308, -1e308], [5e-324, 0.0], [1e16, 1e16 + 2], [float("nan")]]
)
def test_odd_columns_stay_plain_json(values: list[float]) -> None:
    schema, profile, preview = describe_table([column("a", values)])
    json.dumps([schema, profile, preview], allow_nan=False)
    DatasetSchema.model_validate(schema)


def test_categories_are_those_of_short_lists() -> None:
    rows = 20_000
    table = [
        StoredColumn("few", "integer", np.arange(rows) % 7 - 3),
        StoredColumn("many", "integer", np.arange(rows) % 1001),
        StoredColumn("all", "integer", np.arange(rows)),
        StoredColumn("flag", "boolean", (np.arange(rows) % 2).astype(np.int8)),
        StoredColumn("word", "string", np.zeros(rows, dtype=np.int32), ("x",)),
        StoredColumn("long", "string", np.zeros(rows, dtype=np.int32), ("x" * 201,)),
        StoredColumn("real", "float", np.full(rows, 1.5)),
        StoredColumn("whole", "float", np.array([np.nan, -1.0, 1.0, 1.0] * (rows // 4))),
        StoredColumn("wholes", "float", np.arange(rows) % 101.0),
        StoredColumn("far", "float", np.full(rows, 2.0**53)),
    ]
    schema = DatasetSchema.model_validate(describe_table(table)[0])
    assert {one.name: one.categories for one in schema.columns} == {
        "few": (-3, -2, -1, 0, 1, 2, 3),
        "many": None,
        "all": None,
        "flag": (False, True),
        "word": ("x",),
        "long": None,
        "real": None,
        "whole": (-1, 1),
        "wholes": None,
        "far": None,
    }
    assert [one.distinct for one in schema.columns] == [7, 1001, None, 2, 1, 1, 1, 2, 101, 1]
    assert next(one.counts for one in schema.columns if one.name == "whole") == (rows // 4, rows // 2)


def test_a_wide_table_keeps_its_description_short() -> None:
    pixels = [StoredColumn(f"p{i}", "integer", np.arange(600) % 500) for i in range(100)]
    label = StoredColumn("label", "integer", np.arange(600) % 10)
    schema, _, preview = describe_table([*pixels, label])
    assert sum(len(facts["categories"] or ()) for facts in schema["columns"]) <= CATEGORY_BUDGET
    assert schema["columns"][-1]["categories"] == list(range(10))
    assert sum(len(row) for row in preview) <= PREVIEW_VALUES


def test_the_preview_of_images_is_short() -> None:
    images = np.zeros((50, 3, 60, 60), dtype=np.uint8)
    _, profile, preview = describe_arrays({"x": images, "y": np.arange(50)})
    assert len(preview) == 1
    assert np.shape(preview[0]["x"]) == (3, 60, 60)
    assert profile["arrays"][0]["max"] == 0


def test_a_stored_table_reads_back(tmp_path: Path) -> None:
    columns = [
        StoredColumn("a/b", "float", np.array([1.5, np.nan])),
        StoredColumn("ü", "string", np.array([1, -1], dtype=np.int32), ("", "däß")),
        StoredColumn("t", "datetime", np.array([NO_TIME, 1], dtype=np.int64)),
        StoredColumn("n", "integer", narrowest(np.array([-129, 5]))),
    ]
    write_table(tmp_path / "a", columns)
    write_table(tmp_path / "b", columns)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    for before, after in zip(columns, StoredTable(tmp_path / "a"), strict=True):
        assert (before.name, before.type, before.texts) == (after.name, after.type, after.texts)
        assert np.array_equal(before.values, after.values, equal_nan=before.type == "float")
        assert np.array_equal(before.missing, after.missing)
    with pytest.raises(KeyError):
        StoredTable(tmp_path / "a").column("z")


def test_stored_arrays_read_back_whatever_their_memory_order(tmp_path: Path) -> None:
    x = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    write_arrays(tmp_path / "a", {"x": x, "y": x[:, ::2]})
    read = read_arrays(tmp_path / "a")
    assert np.array_equal(read["x"], x)
    assert np.array_equal(read["y"], x[:, ::2])


def test_times_have_a_histogram_and_a_resolution() -> None:
    day = 86_400_000_000
    days = StoredColumn("day", "datetime", np.array([0, day, 2 * day, NO_TIME], dtype=np.int64))
    hours = StoredColumn("hour", "datetime", np.arange(4, dtype=np.int64) * day // 24)
    nothing = StoredColumn("none", "datetime", np.full(4, NO_TIME, dtype=np.int64))
    schema, profile, _ = describe_table([days, hours, nothing])
    assert [column["resolution"] for column in schema["columns"]] == ["day", "time", "day"]
    first, _, last = profile["columns"]
    assert (first["min"], first["max"]) == ("1970-01-01T00:00:00Z", "1970-01-03T00:00:00Z")
    histogram = first["histogram"]
    assert (histogram["edges"][0], histogram["edges"][-1]) == (first["min"], first["max"])
    assert sum(histogram["counts"]) == 3
    assert last["histogram"] is None
