"""Which rows of a labelled reconstruction are anomalies, and what that means for the split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.data.split import Rows, Split, data_error
from core.spec.data import DataSpec
from core.spec.dataset import Category
from core.spec.labels import normal_classes

Flags = NDArray[np.bool_]


def anomalies(data: DataSpec, classes: tuple[Category, ...], numbers: Rows) -> Flags:
    """(N,) whether each row is of a class that is not normal; `numbers` are positions in `classes`."""
    normal = [classes.index(each) for each in normal_classes(data, classes)]
    return np.asarray(~np.isin(numbers, normal))


def normal_alone(data: DataSpec, whole: Split, anomaly: Flags) -> Split:
    """The split in which normal rows alone train and validate.

    A random split gives the others to the test part, where all anomalies then stand; where a column, groups or time
    decide, those outside the test part are left out.
    """
    if data.train_on is None:
        return whole
    train, validation = (part[~anomaly[part]] for part in (whole.train, whole.validation))
    if not len(train):
        raise data_error("no training row is of the classes of train_on", "/data/train_on", "split in another way")
    by_chance = not (data.split.column or data.split.group or data.split.order_by)
    others = np.flatnonzero(anomaly).astype(np.int64) if by_chance else whole.test[:0]
    return Split(train, validation, np.union1d(whole.test, others))
