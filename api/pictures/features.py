"""Permutation importance: bars with their spread, or a map of patches."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from api.pictures.house import COLOURS, DIVERGING, GREY, Data, array, canvas, caption, figures, label, panel

_MOST = 25


def draw(data: Data) -> Figure:
    """What is longest matters most; whiskers are one deviation over the repeats."""
    heading = f"Permutation importance · {data['metric']} {figures(data['baseline'])} · {caption(data)}"
    if data["by"] == "patch":
        figure = canvas(5.4, 4.6, heading)
        axes = figure.subplots()
        _map(figure, axes, data)
        return figure
    shown = data["features"][:_MOST]
    if data["by"] == "time":
        shown = sorted(shown, key=lambda each: each["place"])
    figure = canvas(6.6, max(2.6, 0.27 * len(shown) + 1.3), heading)
    axes = figure.subplots()
    left_out = len(data["features"]) - len(shown)
    panel(axes, f"the first {len(shown)} of {len(data['features'])}" if left_out else "", grid="x")
    names = [label(each["feature"], 28) for each in shown]
    places = np.arange(len(shown))[::-1]
    importance, spread = (array([each[name] for each in shown]) for name in ("importance", "deviation"))
    axes.barh(places, importance, color=COLOURS[0], height=0.68)
    axes.errorbar(importance, places, xerr=spread, fmt="none", ecolor="#444444", elinewidth=1, capsize=2)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(places, names, fontsize=8.5)
    axes.set_xlabel(f"how much worse {data['metric']} is when it is shuffled ({data['repeats']} times)")
    return figure


def _map(figure: Figure, axes: Axes, data: Data) -> None:
    values = np.full(data["grid"], np.nan)
    for each in data["features"]:
        values[tuple(each["place"])] = np.nan if each["importance"] is None else each["importance"]
    top = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    image = axes.imshow(np.ma.masked_invalid(values), cmap=DIVERGING, vmin=-top, vmax=top, interpolation="nearest")
    panel(axes, "patches of the image", grid=None)
    axes.set_xticks([])
    axes.set_yticks([])
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label(f"how much worse {data['metric']} is when it is shuffled")
