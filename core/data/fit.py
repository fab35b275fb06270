"""What a preparation learns from the training rows: centres, widths, stand-ins for what is missing."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.data.normalize import entries
from core.data.preparation import ArrayScaling, Feature
from core.data.split import Rows, data_error
from core.spec.data import PreprocessSpec

Floats = NDArray[np.float64]


def centre_and_width(values: Floats, how: str) -> tuple[float, float]:
    """(shift, scale) of values without NaN; a column that does not vary keeps the scale 1."""
    match how:
        case "standard":
            shift, scale = float(values.mean()), float(values.std())
        case "minmax":
            shift, scale = float(values.min()), float(np.ptp(values))
        case "robust":
            low, shift, high = (float(value) for value in np.quantile(values, (0.25, 0.5, 0.75)))
            scale = high - low
        case _:
            return 0.0, 1.0
    # rounding leaves a constant column a tiny deviation, and dividing by it would blow up unseen values
    varies = np.isfinite(scale) and scale > 1e-12 * abs(shift)
    return shift, scale if varies else 1.0


def stand_in(values: Floats, how: str) -> float | None:
    """What fills a gap: mean, median or zero of the values without NaN; None when gaps are refused."""
    match how:
        case "mean":
            return float(values.mean())
        case "median":
            return float(np.median(values))
        case "zero":
            return 0.0
        case _:
            return None


def fit_number(
    name: str, kind: Literal["number", "boolean"], cells: Floats, train: Rows, preprocess: PreprocessSpec
) -> Feature:
    """A number or boolean (which is 0 or 1 and not scaled) of a table."""
    scale = "none" if kind == "boolean" else preprocess.scale
    fill, shift, width = _fit(cells, train, scale, preprocess.impute, f"column {name!r}")
    return Feature(name, kind, fill, shift, width)


def fit_category(name: str, cells: Rows, train: Rows, categories: tuple[str, ...]) -> Feature:
    """A column of texts: which of its categories the training rows have."""
    counts = np.bincount(cells[train][cells[train] >= 0], minlength=len(categories))
    return Feature(name, "category", categories=categories, seen=tuple(bool(count) for count in counts))


def fit_array(x: NDArray[Any], train: Rows, preprocess: PreprocessSpec) -> ArrayScaling:
    """One shift and scale a feature, for images (four axes and more) one a channel."""
    axis = 1 if x.ndim != 3 else 2
    fits = []
    for entry, cells in enumerate(entries(x, axis, preprocess.normalize)):
        where = f"x[{', '.join([':'] * axis + [str(entry)])}]"
        fits.append(_fit(cells, train, preprocess.scale, preprocess.impute, where))
    fill, shift, scale = zip(*fits, strict=True)
    return ArrayScaling(axis, fill, shift, scale, preprocess.normalize)


def _fit(cells: Floats, train: Rows, scale: str, impute: str, what: str) -> tuple[float | None, float, float]:
    """(fill, shift, scale) from the training rows of `cells`; data_error when they hold nothing or a refused gap."""
    missing = int(np.isnan(cells).sum())
    if missing and impute == "none":
        raise data_error(
            f"{what}: {missing} missing value(s), and preprocess.impute is 'none'",
            "/data/preprocess/impute",
            "choose mean, median or zero",
        )
    values = cells[train].reshape(-1)
    values = values[~np.isnan(values)] if missing else values
    if not len(values):
        if impute == "zero":
            return 0.0, 0.0, 1.0
        raise data_error(f"{what} has no value in any training row", "/data/features", "leave it out")
    with np.errstate(over="ignore"):
        shift, width = centre_and_width(values, scale)
        return stand_in(values, impute), shift, width
