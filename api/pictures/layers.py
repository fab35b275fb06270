"""The layers of a run over its steps: gradients and updates as lines, activations and idle units as maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from api.drawing import Layers
from api.pictures.house import FAINT, GREY, MANY, canvas, panel

Floats = NDArray[np.float64]
# viridis without its palest yellow: one order of lightness, so depth is seen by the colour blind and on grey paper too
_LIGHTEST = 0.88
_MOST_NAMED = 10
_MOST_TICKS = 7
# what is mostly a healthy length of a step beside the weights
_USUAL_UPDATE = 1e-3


def draw(layers: Layers) -> Figure:
    """Four panels; of a run without statistics of layers a sentence that says how to get them."""
    title = f"{layers.title} · layers · {layers.status}"
    if not layers.rows:
        figure = canvas(6.5, 2.2, title)
        axes = figure.subplots()
        axes.set_axis_off()
        words = "no statistics of layers: set monitor.layers to true"
        axes.text(0.5, 0.5, words, ha="center", va="center", color=GREY, transform=axes.transAxes)
        return figure
    names = [f"{index} {kind}" for index, kind in enumerate(layers.types)]
    height = 6.2 + 0.16 * max(0, len(names) - 14)
    figure = canvas(12.0, height, title)
    ((gradients, updates), (deviations, idle)) = figure.subplots(2, 2)
    steps = [step for step, _ in layers.rows]
    _lines(gradients, steps, _table(layers, "gradient_norm"), names, "gradient norm of each layer's weights")
    _lines(updates, steps, _table(layers, "update_ratio"), names, "length of a step beside the weights")
    updates.axhline(_USUAL_UPDATE, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    panel(deviations, "deviation of activations", grid=None)
    _map(deviations, steps, _table(layers, "activation_std"), names, scale="log")
    silent = np.fmax(_table(layers, "saturated"), _table(layers, "dead"))
    panel(idle, "saturated values, dead units (fraction)", grid=None)
    _map(idle, steps, silent, names, scale="fraction")
    return figure


def _table(layers: Layers, stat: str) -> Floats:
    """(layers, rows) the values, NaN where a layer has none."""
    keys = [f"layer.{index}.{stat}" for index in range(len(layers.types))]
    values = [[_number(row.get(key)) for _, row in layers.rows] for key in keys]
    return np.array(values, dtype=np.float64).reshape(len(keys), len(layers.rows))


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _lines(axes: Axes, steps: Sequence[int], table: Floats, names: Sequence[str], title: str) -> None:
    """A line for each layer that has values, the first dark and the last light, on a logarithmic scale."""
    panel(axes, title)
    shown = [index for index in range(len(names)) if np.isfinite(table[index]).any()]
    for place, index in enumerate(shown):
        colour = colormaps[MANY](_LIGHTEST * place / max(1, len(shown) - 1))
        marker = "o" if len(steps) < 30 else None
        axes.plot(
            steps,
            np.where(table[index] > 0, table[index], np.nan),
            color=colour,
            linewidth=1.6,
            marker=marker,
            markersize=3,
            label=names[index],
        )
    axes.set_xlabel("step")
    if (table[np.isfinite(table)] > 0).any():
        axes.set_yscale("log")
    gaps = [after - before for before, after in pairwise(steps)]
    if gaps and max(gaps) > 4 * min(gaps):
        axes.set_xscale("log")
    lines = axes.get_lines()
    if lines:
        # beside the lines, which fill the whole panel
        axes.legend(handles=_named(lines), loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)


def _named(lines: Sequence[Line2D]) -> list[Line2D]:
    """The lines for a legend: all, or of very many some, the first and the last among them."""
    if len(lines) <= _MOST_NAMED:
        return list(lines)
    return [lines[round(place * (len(lines) - 1) / 5)] for place in range(6)]


def _map(axes: Axes, steps: Sequence[int], table: Floats, names: Sequence[str], *, scale: str) -> None:
    """A row for each layer that has values, the first at the bottom; a column for each look."""
    shown = [index for index in range(len(names)) if np.isfinite(table[index]).any()]
    axes.set_xlabel("step")
    if not shown:
        axes.text(0.5, 0.5, "no layer of that kind", ha="center", va="center", color=GREY, transform=axes.transAxes)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    axes.set_facecolor(FAINT)
    values = np.ma.masked_invalid(table[shown])
    norm: Normalize = Normalize(0, 1)
    if scale == "log":
        values = np.ma.masked_less_equal(values, 0)
        low, high = (float(values.min()), float(values.max())) if values.count() else (1.0, 1.0)
        norm = LogNorm(low, high if high > low else low * 10)
    mesh = axes.pcolormesh(values, norm=norm, cmap=MANY if scale == "log" else "cividis")
    axes.set_yticks([place + 0.5 for place in range(len(shown))], [names[index] for index in shown], fontsize=8)
    places = sorted({round(place * (len(steps) - 1) / (_MOST_TICKS - 1)) for place in range(_MOST_TICKS)})
    axes.set_xticks([place + 0.5 for place in places], [f"{steps[place]}" for place in places])
    assert isinstance(axes.figure, Figure)
    axes.figure.colorbar(mesh, cax=axes.inset_axes((1.02, 0.0, 0.03, 1.0)))
