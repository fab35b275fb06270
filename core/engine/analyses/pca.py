"""Principal components of rows, with a sign that does not depend on accidents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Principal:
    """`axes` (D, F) unit vectors, `coordinates` (N, D) of the rows, shares of the variance; rows: mean + c @ axes."""

    mean: Floats
    axes: Floats
    coordinates: Floats
    variance_explained: list[float]


def principal_components(rows: Floats, dimensions: int) -> Principal:
    """The first components of (N, F) rows, each pointing where its greatest weight is positive; F of at most N x F
    values are decomposed by the smaller side.
    """
    mean = rows.mean(0)
    centred = rows - mean
    if rows.shape[1] <= rows.shape[0]:
        values, vectors = np.linalg.eigh(centred.T @ centred)
        axes = vectors[:, ::-1][:, :dimensions].T
    else:
        values, vectors = np.linalg.eigh(centred @ centred.T)
        first = vectors[:, ::-1][:, :dimensions]
        lengths = np.sqrt(np.maximum(values[::-1][:dimensions], 1e-300))
        axes = (first.T @ centred) / lengths[:, None]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])
    axes = axes * np.where(signs == 0, 1.0, signs)[:, None]
    total = float(np.maximum(values, 0).sum())
    shares = np.maximum(values[::-1][:dimensions], 0) / (total or 1.0)
    return Principal(mean, axes, centred @ axes.T, shares.tolist())
