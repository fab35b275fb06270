"""Activations and gradients through many layers before any training: one line a combination."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from api.pictures.house import COLOURS, GREY, Data, array, canvas, label, panel

_DASHES = ("-", (0, (4, 1.5)))
# further apart than that (in powers of ten) no scale shows what happens near 1
_FARTHEST = 1e60


def draw(data: Data) -> Figure:
    """Deviation of the activations and length of the gradient on top, saturated and dead shares below."""
    figure = canvas(
        11.4, 7.4, f"{data['depth']} layers of {data['width']} units before training · {data['batch']} rows"
    )
    axes = figure.subplots(2, 2, sharex=True, height_ratios=(1.6, 1))
    _draw_scale(axes[0, 0], data, "activation_std", "deviation of the activations")
    _draw_scale(axes[0, 1], data, "gradient_ratio", "length of the gradient, relative to the last layer's")
    if data["sigmoid_bound"]:
        layers = np.arange(1, data["depth"] + 1)
        axes[0, 1].plot(layers, array(data["sigmoid_bound"]), "--", color=GREY, linewidth=1.3)
    _draw_share(axes[1, 0], data, "saturated", "saturated values: slope below a tenth of the greatest")
    _draw_share(axes[1, 1], data, "dead", "dead units: slope 0 for every row")
    for bottom in axes[1]:
        bottom.set_xlabel("layer")
        bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [
        Line2D([], [], color=colour, linestyle=dashes, linewidth=2.2, label=_legend(run))
        for run, colour, dashes, _ in _styled(data)
    ]
    if data["sigmoid_bound"]:
        words = r"$(1/4)^n$: a sigmoid's slope through n layers, at most"
        handles.append(Line2D([], [], color=GREY, linestyle="--", linewidth=1.3, label=words))
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, min(len(handles), 4, 150 // (longest + 8)))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8.5)
    return figure


def _styled(data: Data) -> list[tuple[Data, str, Any, float]]:
    """Each combination with its colour; from the ninth on the colours come again, dashed.

    Each line is thinner than the one below it: inits of one seed cut off the very same values.
    """
    return [
        (run, COLOURS[index % len(COLOURS)], _DASHES[index // len(COLOURS)], max(1.3, 3.3 - 0.5 * index))
        for index, run in enumerate(data["combinations"])
    ]


def _legend(run: Data) -> str:
    """The name; what is 0 everywhere has no place on a logarithmic scale and is told here."""
    name = label(run["name"], 60)
    return f"{name} (all 0: not on a logarithmic scale)" if not any(run["activation_std"]) else name


def _draw_scale(axes: Axes, data: Data, name: str, title: str) -> None:
    panel(axes, title)
    layers = np.arange(1, data["depth"] + 1)
    for run, colour, dashes, width in _styled(data):
        values = array(run[name])
        shown = np.where((values > 1 / _FARTHEST) & (values < _FARTHEST), values, np.nan)
        axes.plot(layers, shown, color=colour, linestyle=dashes, linewidth=width)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    # a scale that spans next to nothing would make a drama of it
    axes.set_ylim(min(low, 1e-2), max(high, 1e1))


def _draw_share(axes: Axes, data: Data, name: str, title: str) -> None:
    panel(axes, title)
    layers = np.arange(1, data["depth"] + 1)
    for run, colour, dashes, width in _styled(data):
        axes.plot(layers, array(run[name]), color=colour, linestyle=dashes, linewidth=width)
    axes.set_ylim(-0.04, 1.04)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
