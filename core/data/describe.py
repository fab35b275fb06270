"""What a data set holds, in plain JSON values: the schema that a plan is checked against, a profile, the first rows.

One code for uploads and built-in sets; NumPy alone. Nothing in the output is NaN or infinite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from core.data.table import NO_TIME, SPLITS, Array, StoredColumn

PREVIEW_ROWS = 200
# values in a preview, all rows together
PREVIEW_VALUES = 20_000
MAX_DISTINCT = 10_000
MAX_CATEGORIES = 1_000
# whole numbers stored as floats, as ROOT and old text files have labels, so few name classes
MAX_WHOLE_FLOATS = 100
# categories of one schema, all columns together: 784 pixels of 256 greys need no lists
CATEGORY_BUDGET = 20_000
# values that quantiles and histograms are taken from
SAMPLE = 1_000_000
BINS = 20
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_DAY_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Facts = dict[str, Any]


def describe_table(columns: list[StoredColumn]) -> tuple[Facts, Facts, list[Facts]]:
    """(schema, profile, preview) of a table."""
    rows = len(columns[0].values)
    described, profiles = [], []
    for column in columns:
        facts, profile = _describe_column(column)
        described.append(facts)
        profiles.append(profile)
    _keep_within_budget(described)
    schema = {"kind": "table", "rows": rows, "columns": described}
    return schema, {"rows": rows, "columns": profiles}, preview_table(columns)


def describe_arrays(
    arrays: Mapping[str, Array], categories: list[Any] | None = None
) -> tuple[Facts, Facts, list[Facts]]:
    """(schema, profile, preview) of arrays; `categories` are those that codes in `y` stand for, if it holds codes."""
    rows = len(arrays["x"])
    described, profiles = [], []
    for name, array in arrays.items():
        coded = categories if name == "y" else None
        missing, numbers = _numbers_of_array(array, coded)
        facts: Facts = {
            "name": name,
            "shape": list(array.shape[1:]),
            "dtype": ("bool" if isinstance(coded[0], bool) else "string") if coded else array.dtype.name,
            "missing": missing,
            **_array_categories(name, array, coded),
        }
        described.append(facts)
        counts = {key: facts[key] for key in ("name", "shape", "dtype", "missing")}
        profiles.append({**counts, **(_tops(array, coded) if coded else numbers)})
    schema: Facts = {"kind": "arrays", "rows": rows, "arrays": described}
    for role, name in (("default_target", "y"), ("default_weight", "weight"), ("default_split", "split")):
        schema[role] = name if name in arrays else None
    return schema, {"rows": rows, "arrays": profiles}, preview_arrays(arrays, categories)


def _describe_column(column: StoredColumn) -> tuple[Facts, Facts]:
    missing = column.missing
    present = column.values[~missing] if missing.any() else column.values
    distinct, values = _distinct(column, present)
    facts: Facts = {"name": column.name, "type": column.type, "missing": int(missing.sum()), "distinct": distinct}
    profile = dict(facts)
    facts.update(_categories(column, values))
    numeric = column.type in ("float", "integer")
    statistics = _statistics(present) if numeric and len(present) else {}
    facts.update({key: statistics.get(key) for key in ("min", "max", "mean", "std")})
    if numeric:
        profile.update(statistics, **_distribution(present))
    elif column.type == "datetime":
        facts["resolution"] = "time" if (present % _DAY_US).any() else "day"
        ends = (present.min(), present.max()) if len(present) else (NO_TIME, NO_TIME)
        profile.update(
            {"min": _iso(int(ends[0])), "max": _iso(int(ends[1])), "histogram": _histogram_of_times(present)}
        )
    else:
        profile.update(_tops(column.values, list(column.texts) or [False, True]))
    return facts, profile


def _distinct(column: StoredColumn, present: Array) -> tuple[int | None, Array | None]:
    """How many different values, and which; None when more than are counted."""
    if column.type == "string":
        count = len(column.texts)
        return (count if count <= MAX_DISTINCT else None), None
    # most columns with many values show it in their first rows, which spares sorting them all
    if len(np.unique(present[: 4 * MAX_DISTINCT])) > MAX_DISTINCT:
        return None, None
    values = np.unique(present)
    return (len(values), values) if len(values) <= MAX_DISTINCT else (None, None)


def _categories(column: StoredColumn, values: Array | None) -> Facts:
    """`categories` and `counts` of a column; both None when it has too many values, or none that name anything."""
    if column.type == "string":
        short = len(column.texts) <= MAX_CATEGORIES and all(len(text) <= 200 for text in column.texts)
        if not (short and column.texts):
            return _counted(None, None)
        return _counted(list(column.texts), _code_counts(column.values, len(column.texts)))
    if values is None or not 0 < len(values) <= MAX_CATEGORIES or column.type == "datetime":
        return _counted(None, None)
    if column.type == "float" and not _name_classes(values):
        return _counted(None, None)
    kind = bool if column.type == "boolean" else int
    # a missing cell (-1 or NaN) is none of the values
    places = np.searchsorted(values, column.values[~column.missing])
    return _counted([kind(value) for value in values], np.bincount(places, minlength=len(values)))


def _name_classes(values: Array) -> bool:
    """Whether distinct floats are few whole numbers, which a target may have for classes."""
    return len(values) <= MAX_WHOLE_FLOATS and bool(
        (np.abs(values) < 2**53).all() and (values == np.rint(values)).all()
    )


def _array_categories(name: str, array: Array, coded: list[Any] | None) -> Facts:
    """As `_categories`: those that codes stand for, the parts that a split names, or the whole numbers of `y`."""
    if coded:
        return _counted(coded, _code_counts(array, len(coded)))
    if name not in ("y", "split") or array.ndim != 1 or array.dtype.kind not in "iuf":
        return _counted(None, None)
    is_float = array.dtype.kind == "f"
    values, counts = np.unique(array[~np.isnan(array)] if is_float else array, return_counts=True)
    if len(values) > MAX_CATEGORIES or (is_float and not (len(values) and _name_classes(values))):
        return _counted(None, None)
    return _counted([SPLITS[value] if name == "split" else int(value) for value in values], counts)


def _code_counts(codes: Array, num_categories: int) -> Array:
    return np.bincount(codes[codes >= 0].astype(np.int64), minlength=num_categories)


def _counted(categories: list[Any] | None, counts: Array | None) -> Facts:
    return {"categories": categories, "counts": None if counts is None else counts.tolist()}


def _keep_within_budget(described: list[Facts]) -> None:
    """Drops the longest lists of categories until all together fit; the short ones are those that name classes."""
    left = CATEGORY_BUDGET
    for facts in sorted(described, key=lambda facts: len(facts["categories"] or ())):
        size = len(facts["categories"] or ())
        if size > left:
            facts.update(_counted(None, None))
        else:
            left -= size


def _statistics(present: Array) -> Facts:
    """Minimum, maximum, mean and standard deviation (divided by N), in float64 and without a copy of the whole."""
    flat = present.reshape(-1)
    # numbers near the end of float64 overflow, and are then given as None
    with np.errstate(over="ignore"):
        mean = float(np.mean(flat, dtype=np.float64))
        squares = sum(
            float(np.square(flat[start : start + SAMPLE].astype(np.float64) - mean).sum())
            for start in range(0, len(flat), SAMPLE)
        )
    numbers = {"min": float(flat.min()), "max": float(flat.max()), "mean": mean, "std": math.sqrt(squares / len(flat))}
    return {key: _finite(value) for key, value in numbers.items()}


def _distribution(present: Array) -> Facts:
    """Quantiles and a histogram, from evenly spaced values when there are more than a million."""
    flat = present.reshape(-1)
    sample = flat[:: max(1, -(-len(flat) // SAMPLE))].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if not len(sample):
        return {"quantiles": {}, "histogram": None}
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.quantile(sample, QUANTILES).tolist()
    quantiles = {str(q): _finite(value) for q, value in zip(QUANTILES, values, strict=True)}
    low, high = float(sample.min()), float(sample.max())
    # bins need a finite width that float64 can tell apart
    if not (math.isfinite(high - low) and low + (high - low) / BINS > low):
        return {"quantiles": quantiles, "histogram": {"edges": [low, high], "counts": [len(sample)]}}
    counts, edges = np.histogram(sample, BINS, (low, high))
    return {"quantiles": quantiles, "histogram": {"edges": edges.tolist(), "counts": counts.tolist()}}


def _histogram_of_times(present: Array) -> Facts | None:
    """As of numbers, the edges as texts; None without a time."""
    found: Facts | None = _distribution(present)["histogram"] if len(present) else None
    return found and {**found, "edges": [_iso(int(edge)) for edge in found["edges"]]}


def _tops(codes: Array, categories: list[Any]) -> Facts:
    counts = _code_counts(codes, len(categories))
    order = np.argsort(-counts, kind="stable")[:BINS]
    return {"top": [{"value": _short(categories[i]), "count": int(counts[i])} for i in order.tolist() if counts[i]]}


def _numbers_of_array(array: Array, coded: list[Any] | None) -> tuple[int, Facts]:
    if coded:
        return int((array < 0).sum()), {}
    if array.dtype.kind != "f":
        return 0, {**_statistics(array), **_distribution(array)}
    missing = np.isnan(array)
    present = array[~missing] if missing.any() else array
    numbers = {**_statistics(present), **_distribution(present)} if present.size else {}
    return int(missing.sum()), numbers


def preview_table(columns: list[StoredColumn]) -> list[Facts]:
    """The first rows of a table, one dictionary a row, an empty cell as None."""
    rows = min(PREVIEW_ROWS, max(1, PREVIEW_VALUES // len(columns)))
    shown = [(column.name, _shown(column, rows)) for column in columns]
    count = min(rows, len(columns[0].values))
    return [{name: values[row] for name, values in shown} for row in range(count)]


def _shown(column: StoredColumn, rows: int) -> list[Any]:
    values: list[Any] = column.values[:rows].tolist()
    match column.type:
        case "string":
            return [_short(column.texts[code]) if code >= 0 else None for code in values]
        case "boolean":
            return [bool(code) if code >= 0 else None for code in values]
        case "datetime":
            return [_iso(time) for time in values]
        case "integer":
            return [None if value != value else int(value) for value in values]  # noqa: PLR0124  # NaN
        case "float":
            return [_finite(value) for value in values]


def preview_arrays(arrays: Mapping[str, Array], categories: list[Any] | None) -> list[Facts]:
    """The first rows of arrays, one dictionary a row; a row of more than 20,000 values is left out."""
    size = max(1, arrays["x"][0].size)
    rows = min(PREVIEW_ROWS, max(1, PREVIEW_VALUES // size), len(arrays["x"]))
    return [{name: _entry(name, array[row], categories) for name, array in arrays.items()} for row in range(rows)]


def _entry(name: str, value: Any, categories: list[Any] | None) -> Any:
    if name == "split":
        return SPLITS[int(value)]
    if name == "y" and categories:
        return categories[int(value)] if value >= 0 else None
    if np.size(value) > PREVIEW_VALUES:
        return None
    return _clean(value.tolist())


def _clean(value: Any) -> Any:
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return _finite(value) if isinstance(value, float) else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _short(value: Any) -> Any:
    return value[:200] + "…" if isinstance(value, str) and len(value) > 200 else value


def _iso(microseconds: int) -> str | None:
    if microseconds == NO_TIME:
        return None
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return None
