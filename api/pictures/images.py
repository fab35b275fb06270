"""Small images on a sheet: inputs, reconstructions, filters."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from api.pictures.house import DIVERGING

Floats = NDArray[np.float64]


def show_image(axes: Axes, image: Floats, low: float, high: float, colours: str = "gray_r") -> None:
    """(C, H, W) without axes: three channels as colours, else the mean over the channels."""
    bare(axes)
    if len(image) == 3 and colours != DIVERGING:
        axes.imshow(np.clip((image.transpose(1, 2, 0) - low) / ((high - low) or 1), 0, 1), interpolation="nearest")
    else:
        axes.imshow(image.mean(0), cmap=colours, vmin=low, vmax=high, interpolation="nearest")


def bare(axes: Axes) -> None:
    """No ticks, a thin grey frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color="#cccccc", linewidth=0.6)


def sheet(images: Floats, gap: float) -> Floats:
    """(rows, columns, C, H, W) as one image (C, H', W') with a line of `gap` between them."""
    rows, columns, channels, height, width = images.shape
    whole: Any = np.full((channels, rows * (height + 1) - 1, columns * (width + 1) - 1), gap)
    for row, column in np.ndindex(rows, columns):
        top, left = row * (height + 1), column * (width + 1)
        whole[:, top : top + height, left : left + width] = images[row, column]
    return np.asarray(whole)
