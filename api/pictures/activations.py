"""Activations and their derivatives side by side: one line an activation."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from api.pictures.house import COLOURS, FAINT, Data, array, canvas, label, panel

_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)))


def draw(data: Data) -> Figure:
    """What each gives on the left, its derivative on the right, with the greatest of it in the legend."""
    figure = canvas(10.6, 4.9, "Activations and what they let through")
    values, slopes = figure.subplots(1, 2, sharex=True)
    _draw(values, data, "values", "activation f(z)")
    _draw(slopes, data, "derivatives", "derivative df/dz")
    handles = [
        Line2D(
            [],
            [],
            color=COLOURS[index % len(COLOURS)],
            linestyle=_DASHES[index // len(COLOURS)],
            linewidth=2.2,
            label=f"{label(each['name'], 40)}: slope at most {each['greatest_derivative']:.3g}",
        )
        for index, each in enumerate(data["activations"])
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3), frameon=False, fontsize=8.5)
    return figure


def _draw(axes: Axes, data: Data, name: str, title: str) -> None:
    panel(axes, title)
    axes.axhline(0, color=FAINT, linewidth=1)
    axes.axvline(0, color=FAINT, linewidth=1)
    for index, each in enumerate(data["activations"]):
        dashes = _DASHES[index // len(COLOURS)]
        axes.plot(
            array(data["z"]), array(each[name]), color=COLOURS[index % len(COLOURS)], linestyle=dashes, linewidth=1.9
        )
    axes.set_xlabel("z")
