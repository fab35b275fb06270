"""A table in time order to windows: sorted, split in time, scaled by its training rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.fit import centre_and_width
from core.data.preparation import Preparation
from core.data.source import Source
from core.data.split import Rows, Split, data_error, group_split, part_sizes
from core.data.windows import TimeWindow, inputs_of, targets_of, window_starts
from core.events import Warned
from core.spec.job import JobSpec
from core.spec.windows import WindowSpec

Array = NDArray[Any]
Floats = NDArray[np.float64]
_NAMES = ("training", "validation", "test")
# a step this many times the usual one leaves rows out; months differ by a tenth
_GAP = 1.5


@dataclass(frozen=True, slots=True)
class Forecast:
    """What `Prepared` is made of: views of all windows, and which of them each part has."""

    x: Array
    y: Array
    split: Split
    preparation: Preparation
    width: Floats
    warnings: tuple[Warned, ...]


def forecast(spec: JobSpec, source: Source, rows: int) -> Forecast:
    """The windows of a resolved spec; TrainingFailed(`data_error`) names the field that cannot be met."""
    asked = spec.data.window
    assert asked is not None, "a job without windows is prepared row by row"
    window = TimeWindow(asked.length, asked.horizon)
    order, series, warnings = _in_time(spec, source, rows)
    parts = _parts(spec, source, order, series)
    train = np.flatnonzero(parts == 0).astype(np.int64)
    preparation, x = source.fit(spec, order, train)
    if not np.isfinite(x).all():
        raise data_error(
            f"a value of the features is beyond {spec.training.dtype}",
            "/data/preprocess/scale",
            "scale the features, or leave out the one with the huge values",
        )
    y = source.numbers(spec.data.targets)[order]
    missing: NDArray[np.bool_] = np.asarray(np.isnan(y).any(axis=1))
    if missing.any():
        detail = f"{int(missing.sum())} row(s) lack a column to predict; windows that would predict them are left out"
        warnings.append(Warned("missing_target", "/data/window/columns", detail))
    looks_back = asked.context == "previous"
    starts = window_starts(parts, series, missing, window, stride=asked.stride, looks_back=looks_back)
    _check(starts, parts, asked)
    preparation = replace(preparation, shape=(asked.length, *x.shape[1:]), window=window, targets=spec.data.targets)
    fits = [centre_and_width(column[train][~np.isnan(column[train])], "standard") for column in y.T]
    shift, width = (np.array(values) for values in zip(*fits, strict=True))
    if spec.data.preprocess.target_scale == "standard":
        preparation = replace(preparation, target_shift=tuple(shift.tolist()), target_scale=tuple(width.tolist()))
        y = (y - shift) / width
    return Forecast(
        x=inputs_of(x, window),
        y=targets_of(y.astype(spec.training.dtype), window),
        split=Split(*starts),
        preparation=preparation,
        width=np.tile(width, asked.horizon),
        warnings=tuple(warnings),
    )


def _in_time(spec: JobSpec, source: Source, rows: int) -> tuple[Rows, Rows, list[Warned]]:
    """(row numbers, one series behind the other and each in time order; the series of each; what to look at)."""
    split, window = spec.data.split, spec.data.window
    assert window is not None
    series = np.zeros(rows, dtype=np.int64)
    if window.series is not None:
        series = np.unique(source.keys(window.series, "/data/window/series"), return_inverse=True)[1].astype(np.int64)
    if split.order_by is None:
        order = np.argsort(series, kind="stable")
        return order, series[order], []
    times = source.keys(split.order_by, "/data/split/order_by")
    order = np.lexsort((times, series))
    series = series[order]
    steps = np.diff(times[order].astype(np.float64))[np.diff(series) == 0]
    return order, series, _uneven(steps, split.order_by)


def _uneven(steps: Floats, column: str) -> list[Warned]:
    """What a window, which counts rows, does not know: times that are missing or come twice."""
    said = []
    if twice := int((steps == 0).sum()):
        said.append(f"{twice} row(s) have the time of the row before (several series? name window.series)")
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    if usual and (gaps := int((steps > _GAP * usual).sum())):
        said.append(f"{gaps} step(s) are longer than the usual one, the longest {steps.max() / usual:.3g} times")
    detail = f"column {column!r}: {'; '.join(said)}; windows count rows, so they span those"
    return [Warned("uneven_times", "/data/split/order_by", detail)] if said else []


def _parts(spec: JobSpec, source: Source, order: Rows, series: Rows) -> NDArray[np.int8]:
    """(R,) 0 for a row that trains, 1 that validates, 2 that tests; earlier rows of a series train."""
    split = spec.data.split
    ends = np.flatnonzero(np.diff(series, append=-1)) + 1
    blocks = [slice(start, end) for start, end in zip(np.r_[0, ends[:-1]].tolist(), ends.tolist(), strict=True)]
    parts = np.zeros(len(order), dtype=np.int8)
    if split.column is not None:
        parts = source.parts(split.column)[order]
        if not (parts == 1).any() and split.validation:
            for block in blocks:
                _last_train(parts[block], split.validation)
        return parts
    if split.group is not None:
        groups = source.keys(split.group, "/data/split/group")[order]
        drawn = group_split(groups, split.validation, split.test, split.seed)
        parts[drawn.validation], parts[drawn.test] = 1, 2
        return parts
    for block in blocks:
        n = block.stop - block.start
        n_validation, n_test = part_sizes(n, split.validation, split.test)
        parts[block][n - n_test - n_validation : n - n_test] = 1
        parts[block][n - n_test :] = 2
    return parts


def _last_train(parts: NDArray[np.int8], validation: float) -> None:
    """Gives the last training rows of a series to validation, in place."""
    train = np.flatnonzero(parts == 0)
    taken = int(len(train) * validation + 0.5)
    parts[train[len(train) - taken :]] = 1


def _check(starts: tuple[Rows, Rows, Rows], parts: NDArray[np.int8], window: WindowSpec) -> None:
    """Every part that has rows has windows."""
    for part, found in enumerate(starts):
        rows = int((parts == part).sum())
        if len(found) or (part and not rows):
            continue
        raise data_error(
            f"none of the {rows} {_NAMES[part]} rows begins a window: it takes {window.length} rows to look at and "
            f"{window.horizon} to predict, in one series and one part",
            "/data/window/length",
            "make length or horizon smaller, or the part larger",
        )
