"""Arrays whose values are far from 0 and 1, and that nothing scales; of a table the plan knows it from the schema."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.preparation import Preparation
from core.events import Warned
from core.spec.features import FAR, TINY
from core.spec.job import JobSpec

# rows that are enough to tell a mean by
_ROWS = 1_000


def warn_of_scales(spec: JobSpec, x: NDArray[Any], train: NDArray[np.int64], preparation: Preparation) -> list[Warned]:
    """At most one warning, with the mean and the deviation of the entry (feature or channel) that is farthest off."""
    if preparation.array is None or spec.data.preprocess.scale != "none":
        return []
    some = x[train[:: -(-len(train) // _ROWS)]].astype(np.float64)
    axis = min(preparation.array.axis, some.ndim - 1)
    entries = np.moveaxis(some, axis, 0).reshape(some.shape[axis], -1)
    means, deviations = entries.mean(1), entries.std(1)
    far = np.maximum(np.abs(means), deviations)
    # the entry whose scale is farthest from 1; one that is 0 throughout has none
    entry = int(np.abs(np.log(np.where(far > 0, far, 1.0))).argmax())
    if TINY <= far[entry] <= FAR or not far[entry]:
        return []
    detail = (
        f"the values of x (entry {entry} of its axis of features) have mean {means[entry]:.3g} and deviation "
        f"{deviations[entry]:.3g} and nothing scales them; training will be slow or diverge: set scale to standard"
    )
    return [Warned("unscaled_inputs", "/data/preprocess/scale", detail)]
