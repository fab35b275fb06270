"""What a preparation learns from the training rows: centres, widths, stand-ins for what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.normalize import entries, feature_axis
from core.data.preparation import ArrayScaling, Cells, Feature, category_codes
from core.data.split import Rows, data_error
from core.spec.base import Shape
from core.spec.data import PreprocessSpec
from core.spec.dataset import Column
from core.spec.encoding import DAY_S, FeatureKind, date_parts, indicates, kind_of

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


def stand_in(values: Floats, preprocess: PreprocessSpec) -> float | None:
    """What fills a gap, from the values without NaN; None when gaps are refused."""
    match preprocess.impute:
        case "mean":
            return float(values.mean())
        case "median":
            return float(np.median(values))
        case "most_frequent":
            distinct, counts = np.unique(values, return_counts=True)
            return float(distinct[counts.argmax()])
        case "none":
            return None
        case _:
            return _constant(preprocess)


def _constant(preprocess: PreprocessSpec) -> float | None:
    """What fills a gap whatever the values are; None when they decide."""
    return {"zero": 0.0, "constant": preprocess.fill_value}.get(preprocess.impute)


def fit_feature(column: Column, cells: Cells, train: Rows, preprocess: PreprocessSpec) -> Feature:
    """A column as a feature: numbers with NaN where missing (times in seconds since 1970), texts as codes with -1."""
    kind = kind_of(column, preprocess)
    if kind in ("category", "code"):
        return _fit_category(column, kind, cells, train)
    if kind == "date":
        feature = fit_number(column.name, cells / DAY_S, train, preprocess)
        feature = replace(feature, kind=kind, parts=date_parts(column))
    else:
        feature = fit_number(column.name, cells, train, preprocess, kind=kind)
    if not indicates(column, preprocess):
        return feature
    return replace(feature, indicator=True, gaps=bool(np.isnan(cells[train]).any()))


def fit_number(
    name: str, cells: Floats, train: Rows, preprocess: PreprocessSpec, kind: FeatureKind = "number"
) -> Feature:
    """A number or boolean (which is 0 or 1 and not scaled) of a table."""
    scale = "none" if kind == "boolean" else preprocess.scale
    fill, shift, width = _fit(cells, train, scale, preprocess, f"column {name!r}")
    return Feature(name, kind, fill, shift, width)


def _fit_category(column: Column, kind: FeatureKind, cells: Cells, train: Rows) -> Feature:
    """Which of a column's categories the training rows have."""
    if column.categories is None:
        raise data_error(f"column {column.name!r} has too many different values to be a category", "/data/features")
    categories = tuple(str(value) for value in column.categories)
    feature = Feature(column.name, kind, categories=categories, integers=column.type == "integer")
    codes = category_codes(feature, cells[train])
    counts = np.bincount(codes[codes >= 0], minlength=len(categories))
    return replace(feature, seen=tuple(bool(count) for count in counts))


def fit_array(x: NDArray[Any], train: Rows, preprocess: PreprocessSpec) -> ArrayScaling:
    """One shift and scale a feature, for images and signals of one channel (1, L) one a channel."""
    axis = feature_axis(x.shape[1:])
    fits = []
    for entry, cells in enumerate(entries(x, axis, preprocess.normalize)):
        where = f"x[{', '.join([':'] * axis + [str(entry)])}]"
        fits.append(_fit(cells, train, preprocess.scale, preprocess, where))
    fill, shift, scale = zip(*fits, strict=True)
    return ArrayScaling(axis, fill, shift, scale, preprocess.normalize)


def share_scales(
    features: tuple[Feature, ...], cells: Mapping[str, Cells], train: Rows, scale: str, shape: Shape
) -> tuple[Feature, ...]:
    """The numbers of a table that is images or series, scaled as an array of that shape is: with one shift and scale a
    channel, not a column, which would give every pixel and every moment a scale of its own.
    """
    if len(shape) == 1 or scale == "none":
        return features
    axis = feature_axis(shape) - 1
    channels = np.indices(shape)[axis].reshape(-1)
    places = np.cumsum([0, *(feature.width for feature in features)])
    channel_of = {feature.name: int(channels[place]) for feature, place in zip(features, places, strict=False)}
    fits = {}
    for channel in range(shape[axis]):
        names = [f.name for f in features if f.kind == "number" and channel_of[f.name] == channel]
        values = np.concatenate([cells[name][train] for name in names] or [np.empty(0)])
        values = values[~np.isnan(values)]
        if len(values):
            fits[channel] = centre_and_width(values, scale)

    def shared(feature: Feature) -> Feature:
        fitted = fits.get(channel_of[feature.name]) if feature.kind == "number" else None
        return feature if fitted is None else replace(feature, shift=fitted[0], scale=fitted[1])

    return tuple(shared(feature) for feature in features)


def _fit(
    cells: Floats, train: Rows, scale: str, preprocess: PreprocessSpec, what: str
) -> tuple[float | None, float, float]:
    """(fill, shift, scale) from the training rows of `cells`; data_error when they hold nothing or a refused gap."""
    missing = int(np.isnan(cells).sum())
    if missing and preprocess.impute == "none":
        raise data_error(
            f"{what}: {missing} missing value(s), and preprocess.impute is 'none'",
            "/data/preprocess/impute",
            "choose mean, median or zero",
        )
    values = cells[train].reshape(-1)
    values = values[~np.isnan(values)] if missing else values
    if not len(values):
        if (constant := _constant(preprocess)) is not None:
            return constant, constant, 1.0
        raise data_error(f"{what} has no value in any training row", "/data/features", "leave it out")
    with np.errstate(over="ignore"):
        shift, width = centre_and_width(values, scale)
        return stand_in(values, preprocess), shift, width
