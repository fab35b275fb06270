"""A stored data set and a resolved spec to the arrays that a run trains on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.fit import centre_and_width
from core.data.folds import fold_split, group_folds, random_folds, stratified_folds, time_folds
from core.data.forecast import Forecast, forecast
from core.data.kept import kept
from core.data.labels import anomalies, normal_alone
from core.data.leakage import warn_of_leaks
from core.data.preparation import Preparation
from core.data.prepared import Part, Parts, Prepared, parts_of
from core.data.scales import warn_of_scales
from core.data.sharing import once
from core.data.source import ArraySource, Source, TableSource
from core.data.split import (
    Rows,
    Split,
    column_split,
    data_error,
    group_split,
    random_split,
    stratified_split,
    time_split,
)
from core.events import Warned
from core.spec.data import SplitSpec
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec

Array = NDArray[Any]
Floats = NDArray[np.float64]


__all__ = ["Part", "Parts", "Prepared", "fold_sizes", "parts_of", "prepare", "prepare_parts"]


def prepare_parts(spec: JobSpec, schema: DatasetSchema, data_path: Path, fold: int = 0) -> Parts:
    """What `prepare` makes, dealt out to training, validation and test: shared by the runs of a process that ask for
    it (`sharing`), and of large data by those of the machine (`kept`), where they say so; nobody writes to it then.
    """

    def make() -> Parts:
        return parts_of(prepare(spec, schema, data_path, fold))

    return once(spec, schema, data_path, fold, lambda: kept(spec, schema, data_path, fold, make))


def prepare(spec: JobSpec, schema: DatasetSchema, data_path: Path, fold: int = 0) -> Prepared:
    """The arrays of a resolved spec's data set; TrainingFailed(`data_error`) names the field that cannot be met.

    `fold` says which one validates, 0 to `split.folds` - 1, where the spec asks for folds.
    """
    source = _source(schema, data_path)
    if spec.data.window is not None:
        return _windows(forecast(spec, source, schema.rows))
    warnings: list[Warned] = []
    y, keep = _target(spec, source, warnings)
    rows = len(keep) if keep is not None else schema.rows
    weight = _weight(spec, source, keep)
    split = _split(spec, source, keep, rows, y if spec.task == "classification" else None)[fold]
    anomaly = None
    if spec.task == "reconstruction" and y is not None:
        anomaly, y = anomalies(spec.data, source.classes(spec.data.targets[0]), y), None
        split = normal_alone(spec.data, split, anomaly)
    preparation, x = source.fit(spec, keep, split.train)
    if not _all_finite(x):
        raise data_error(
            f"a value of the features is beyond {spec.training.dtype}",
            "/data/preprocess/scale",
            "scale the features, or leave out the one with the huge values",
        )
    preparation = replace(preparation, targets=spec.data.targets)
    if spec.task == "classification" and y is not None:
        preparation = replace(preparation, classes=source.classes(spec.data.targets[0]))
        warnings += _unseen_classes(y, split.train, preparation)
    width: Floats | None = None
    if spec.task == "regression" and y is not None:
        width = np.array([centre_and_width(column[split.train], "standard")[1] for column in y.T])
        preparation, y = _scale_target(spec, preparation, y, split.train)
    warnings += warn_of_scales(spec, x, split.train, preparation)
    warnings += warn_of_leaks(spec.task, x, y, split.train, preparation)
    if weight is not None:
        warnings += _check_weights(weight, split)
        weight = weight.astype(spec.training.dtype)
    dropped = schema.rows - rows
    parts = (split.train, split.validation, split.test)
    return Prepared(x, y, weight, *parts, preparation, dropped, tuple(warnings), width, anomaly)


def fold_sizes(spec: JobSpec, schema: DatasetSchema, data_path: Path) -> tuple[int, ...]:
    """How many rows train in each fold; no feature is read. TrainingFailed(`data_error`) as `prepare` raises it."""
    source = _source(schema, data_path)
    y, keep = _target(spec, source, [])
    rows = len(keep) if keep is not None else schema.rows
    splits = _split(spec, source, keep, rows, y if spec.task == "classification" else None)
    if spec.task == "reconstruction" and y is not None:
        anomaly = anomalies(spec.data, source.classes(spec.data.targets[0]), y)
        splits = [normal_alone(spec.data, split, anomaly) for split in splits]
    return tuple(len(split.train) for split in splits)


def _source(schema: DatasetSchema, data_path: Path) -> Source:
    return TableSource(data_path, schema) if schema.kind == "table" else ArraySource(data_path, schema)


def _windows(made: Forecast) -> Prepared:
    """N is then every place where a window may begin; `x` and `y` are views, `train` and the others windows."""
    split = made.split
    parts = (split.train, split.validation, split.test)
    return Prepared(made.x, made.y, None, *parts, made.preparation, 0, made.warnings, made.width)


def _target(spec: JobSpec, source: Source, warnings: list[Warned]) -> tuple[Array | None, Rows | None]:
    """(`y` of the rows that are kept, of a reconstruction its label; which rows those are, None for all)."""
    if not spec.data.targets:
        return None, None
    y: Array
    missing: NDArray[np.bool_]
    if spec.task in ("classification", "reconstruction"):
        y = source.class_numbers(spec.data.targets[0])
        missing = y < 0
    else:
        y = source.numbers(spec.data.targets)
        missing = np.asarray(np.isnan(y).any(axis=1))
    if not missing.any():
        return y, None
    keep = np.flatnonzero(~missing).astype(np.int64)
    if not len(keep):
        raise data_error("no row has a target", "/data/target")
    warnings.append(
        Warned("missing_target", "/data/target", f"{int(missing.sum())} row(s) without a target are left out")
    )
    return y[keep], keep


def _kept(values: Array, keep: Rows | None) -> Array:
    return values if keep is None else values[keep]


def _weight(spec: JobSpec, source: Source, keep: Rows | None) -> Array | None:
    if spec.data.weight is None:
        return None
    weight = _kept(source.numbers((spec.data.weight,))[:, 0], keep)
    bad = ~np.isfinite(weight)
    if bad.any():
        row = int(bad.argmax())
        raise data_error(
            f"weight of row {int(row if keep is None else keep[row]) + 1} is "
            + ("missing" if np.isnan(weight[row]) else f"{weight[row]:g}")
            + f", expected a number ({int(bad.sum())} such row(s))",
            "/data/weight",
        )
    return weight


def _check_weights(weight: Array, split: Split) -> list[Warned]:
    """What there is of negative weight; a part whose weights sum to 0 or less has no mean, and is refused."""
    for name, rows in (("training", split.train), ("validation", split.validation), ("test", split.test)):
        if len(rows) and not (total := weight[rows].sum()) > 0:
            nothing = not weight[rows].any()
            said = f"the weights of all {name} rows are 0" if nothing else f"the {name} rows' weights sum to {total:g}"
            raise data_error(f"{said}, expected a sum above 0", "/data/weight", "add rows, or split in another way")
    train = weight[split.train]
    if not (negative := train < 0).any():
        return []
    share = -train[negative].sum() / np.abs(train).sum()
    detail = (
        f"{negative.mean():.1%} of the training rows have negative weights, {share:.1%} of all weight by size; the "
        f"loss is divided by the mean weight {train.mean():.4g}, and is {_noise(train):.2g} times as noisy as without"
    )
    return [Warned("negative_weights", "/data/weight", detail)]


def _noise(weight: Array) -> float:
    """How much wider a signed sum spreads than one of the same weights without their signs, relative to its size."""
    return float(np.abs(weight).sum() / weight.sum())


def _split(spec: JobSpec, source: Source, keep: Rows | None, rows: int, classes: Array | None) -> list[Split]:
    """The one split of the rows, or that of each fold: the test rows are the same in all and are drawn first."""
    split = spec.data.split
    # of folds each validates in its turn, so that no further rows do
    validation = 0.0 if split.folds else split.validation
    stratify = classes if split.stratify else None
    keys: Array | None = None
    if split.column is not None:
        parts = _kept(source.parts(split.column), keep)
        whole = column_split(parts, validation, split.seed, stratify)
    elif split.group is not None:
        keys = _kept(source.keys(split.group, "/data/split/group"), keep)
        whole = group_split(keys, validation, split.test, split.seed)
    elif split.order_by is not None:
        keys = _kept(source.keys(split.order_by, "/data/split/order_by"), keep)
        whole = time_split(keys, validation, split.test)
    elif stratify is not None:
        whole = stratified_split(stratify, validation, split.test, split.seed)
    else:
        whole = random_split(rows, validation, split.test, split.seed)
    return _folds(split, whole, keys, stratify) if split.folds else [whole]


def _folds(split: SplitSpec, whole: Split, keys: Array | None, classes: Array | None) -> list[Split]:
    """All rows but those of the test, dealt out to the folds; `keys` are groups or times."""
    assert split.folds is not None
    # a column's validation rows are no more than others where each row validates once
    rows = np.sort(np.concatenate((whole.train, whole.validation)))
    if split.group is not None:
        assert keys is not None
        dealt = group_folds(keys[rows], split.folds, split.seed)
    elif split.order_by is not None:
        assert keys is not None
        dealt = time_folds(keys[rows], split.folds)
    elif classes is not None:
        dealt = stratified_folds(classes[rows], split.folds, split.seed)
    else:
        dealt = random_folds(len(rows), split.folds, split.seed)
    in_time = split.order_by is not None
    return [fold_split(rows, dealt, fold, whole.test, in_time=in_time) for fold in range(split.folds)]


def _unseen_classes(y: Array, train: Rows, preparation: Preparation) -> list[Warned]:
    classes = preparation.classes or ()
    counts = np.bincount(y[train], minlength=len(classes))
    unseen = [str(name) for name, count in zip(classes, counts.tolist(), strict=True) if not count]
    if not unseen:
        return []
    return [Warned("unseen_class", "/data/split", f"no training row has the class {', '.join(unseen[:10])}")]


def _scale_target(spec: JobSpec, preparation: Preparation, y: Array, train: Rows) -> tuple[Preparation, Array]:
    if spec.data.preprocess.target_scale == "none":
        return preparation, y.astype(spec.training.dtype)
    fits = [centre_and_width(column[train], "standard") for column in y.T]
    shift, scale = (tuple(values) for values in zip(*fits, strict=True))
    preparation = replace(preparation, target_shift=shift, target_scale=scale)
    return preparation, ((y - np.array(shift)) / np.array(scale)).astype(spec.training.dtype)


def _all_finite(x: Array) -> bool:
    """Row blocks, so that the mask stays small."""
    return all(bool(np.isfinite(x[start : start + 65_536]).all()) for start in range(0, len(x), 65_536))
