"""The weights of one layer."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from api.pictures.house import DIVERGING, Data, array, canvas, label, panel
from api.pictures.images import bare, sheet

_EACH = 10
"""Outputs that are numbered one by one."""


def draw(data: Data) -> Figure:
    """Red is positive, blue negative; one scale for all."""
    weights = array(data["filters"])
    shown, of = len(weights), data["of_filters"]
    count = "1 filter" if of == 1 else f"{of} filters"
    many = count if shown == of else f"{shown} of {count}"
    heading = f"Layer {data['layer']} ({data['layer_type']}) · {many} of {' × '.join(map(str, data['shape']))}"
    top = float(np.abs(weights).max(initial=0.0)) or 1.0
    if weights.ndim == 2:
        figure = canvas(min(11.0, max(4.6, 2.6 + 0.22 * weights.shape[1])), min(9.0, 1.8 + 0.2 * shown), heading)
        axes = figure.subplots()
        _matrix(axes, weights, top, data["input_names"])
    else:
        columns = math.ceil(math.sqrt(shown))
        rows = math.ceil(shown / columns)
        figure = canvas(min(9.0, max(4.6, 1.2 + 0.75 * columns)), min(9.0, max(2.2, 1.0 + 0.75 * rows)), heading)
        axes = figure.subplots()
        _sheet(axes, weights, top, rows, columns)
    image = axes.images[0]
    bar = figure.colorbar(image, ax=axes, pad=0.02, shrink=0.8)
    bar.outline.set_visible(False)
    bar.set_label("weight")
    return figure


def _matrix(axes: Axes, weights: np.ndarray, top: float, names: list[str] | None) -> None:
    panel(axes, grid=None)
    axes.imshow(weights, cmap=DIVERGING, vmin=-top, vmax=top, aspect="auto", interpolation="nearest")
    axes.set_ylabel("output")
    if len(weights) <= _EACH:
        axes.set_yticks(range(len(weights)))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if names and len(names) <= 40:
        axes.set_xticks(range(len(names)), [label(name, 18) for name in names], rotation=60, ha="right", fontsize=8)
    else:
        axes.set_xlabel("input")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _sheet(axes: Axes, weights: np.ndarray, top: float, rows: int, columns: int) -> None:
    """Each filter an image: several input channels are averaged, one-dimensional kernels are (inputs, taps)."""
    images = weights.mean(1) if weights.ndim == 4 else weights
    while images.ndim > 3:
        images = images.mean(1)
    filled = np.full((rows * columns, *images.shape[1:]), np.nan)
    filled[: len(images)] = images
    whole = sheet(filled.reshape(rows, columns, 1, *images.shape[1:]), math.nan)[0]
    axes.imshow(np.ma.masked_invalid(whole), cmap=DIVERGING, vmin=-top, vmax=top, interpolation="nearest")
    bare(axes)
