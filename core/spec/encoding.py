"""What a column of a table becomes: which kind of feature, and how many numbers. Plan and preparation share this."""

from __future__ import annotations

from typing import Literal

from core.spec.data import PreprocessSpec
from core.spec.dataset import Column

FeatureKind = Literal["number", "boolean", "category", "code", "date"]
"""A `category` is one number of 0 or 1 for each value, a `code` one whole number that an embedding looks up."""

DAY_S = 86_400.0
CYCLES: dict[str, tuple[float, float]] = {
    "day": (DAY_S, 0.0),
    # 1970-01-05 was a Monday
    "week": (7 * DAY_S, 4 * DAY_S),
    # of the Gregorian calendar's mean length: within a day of the day of the year
    "year": (365.2425 * DAY_S, 0.0),
}
"""Name: period and start of a cycle, in seconds since 1970-01-01T00:00:00Z."""


def kind_of(column: Column, preprocess: PreprocessSpec) -> FeatureKind:
    """The kind of feature that a column is."""
    if column.type == "string" or column.name in preprocess.categories:
        return "code" if preprocess.categorical == "embedding" else "category"
    if column.type == "datetime":
        return "date"
    return "boolean" if column.type == "boolean" else "number"


def date_parts(column: Column) -> tuple[str, ...]:
    """`elapsed`, and sine and cosine of each cycle; of the day only where there are times of day."""
    cycles = [name for name in CYCLES if name != "day" or column.resolution != "day"]
    return ("elapsed", *(f"{cycle}_{wave}" for cycle in cycles for wave in ("sin", "cos")))


def indicates(column: Column, preprocess: PreprocessSpec) -> bool:
    """Whether a 0 or 1 beside the feature says that its value is missing."""
    gaps = preprocess.missing_indicator and column.missing > 0
    return gaps and kind_of(column, preprocess) in ("number", "boolean", "date")


def encoded_width(column: Column, preprocess: PreprocessSpec) -> int:
    """How many numbers of a sample the column becomes."""
    kind = kind_of(column, preprocess)
    if kind == "category":
        return len(column.categories or ()) + indicates(column, preprocess)
    width = len(date_parts(column)) if kind == "date" else 1
    return width + indicates(column, preprocess)
