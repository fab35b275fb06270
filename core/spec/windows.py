"""Forecasting: windows over the rows of a table in time order, what they predict, and how many of them there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from core.spec.base import ColumnName, Count, SpecModel
from core.spec.dataset import DatasetSchema
from core.spec.findings import Findings, nearest, one_of, show


class WindowSpec(SpecModel):
    """From `length` rows in time order to `columns` over the `horizon` rows behind them.

    Rows are sorted by split.order_by, or stand in time order already. The split is in time: every row is the target of
    one part alone, and training windows hold training rows alone.
    """

    length: Count = Field(description="rows that the network sees, from 1: its input is (length, features)")
    horizon: Count = Field(1, description="rows behind them to predict, from 1; default 1")
    stride: Count = Field(1, description="rows from the start of one window to that of the next, from 1; default 1")
    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1)] | None = Field(
        None,
        description="columns to predict; null: data.target, else the set's own target, else every "
        "feature that is a number",
    )
    series: ColumnName | None = Field(
        None,
        description="column that tells several series in one table apart; no window crosses from one to the next and "
        "each is split in time; it is no feature; null: split.group, else one series",
    )
    context: Literal["previous", "own"] = Field(
        "previous",
        description="what validation and test windows may look back at: previous rows, which are known when the "
        "forecast is made, whatever part they are of; or their own part's rows alone",
    )


def window_columns(
    window: WindowSpec, targets: Sequence[str], schema: DatasetSchema, reserved: set[str], findings: Findings
) -> tuple[str, ...]:
    """The columns to predict, written out; faults for those that are not numbers."""
    if window.columns is not None and targets and tuple(targets) != window.columns:
        findings.fault(
            "/data/window/columns",
            "two_targets",
            f"received {show(list(window.columns))} and the target {show(list(targets))}, expected them in one place; "
            "do leave target out",
            needs=("/data/target",),
        )
    numbers = [each.name for each in schema.columns if each.type in ("float", "integer") and each.name not in reserved]
    default = (schema.default_target,) if schema.default_target in numbers else ()
    names = window.columns or tuple(targets) or default or tuple(numbers)
    where = "/data/window/columns" if window.columns is not None or not targets else "/data/target"
    for index, name in enumerate(names):
        at = f"{where}/{index}" if window.columns is not None else where
        column = schema.column(name)
        if name in names[:index]:
            findings.fault(at, "duplicate", f"received {show(name)} twice, expected it once; do remove one")
        elif column is None or name not in numbers:
            said = "no column of the data set" if column is None else f"of the type {column.type}"
            if name in reserved:
                said = "the series, the order or the part of a row"
            near = nearest(name, numbers)
            advice = f"write {show(near)} (did you mean it?)" if near and near != name else "choose one of them"
            findings.fault(
                at,
                "no_numbers" if column else "unknown_column",
                f"received {show(name)}, which is {said}, expected columns of numbers: {one_of(numbers)}; do {advice}",
                needs=("/data/dataset",),
            )
    if not names:
        findings.fault(
            where,
            "missing",
            "received no column to predict and a table without numbers, expected at least one; do upload numbers",
            needs=("/data/dataset",),
        )
    return names


def windows_in(rows: int, window: WindowSpec, *, looks_back: int) -> int:
    """How many windows have all their targets in a part of so many rows; `looks_back` rows before it are inputs too."""
    room = rows + min(looks_back, window.length) - window.length - window.horizon
    return 0 if room < 0 else room // window.stride + 1


def window_sizes(parts: Sequence[dict[str, int]], window: WindowSpec) -> dict[str, int]:
    """Windows of each part, summed over the series, whose parts' `rows` follow one another in time."""
    sizes = dict.fromkeys(("train", "validation", "test"), 0)
    for rows in parts:
        before = 0
        for name in sizes:
            looks_back = before if window.context == "previous" else 0
            sizes[name] += windows_in(rows[name], window, looks_back=looks_back) if rows[name] else 0
            before += rows[name]
    return sizes
