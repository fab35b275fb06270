"""Histograms of every layer: a row for each layer that has something to show, a column for each kind."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from api.pictures.house import COLOURS, GREY, Data, array, canvas, caption, figures, panel

_MOST = 14


def draw(data: Data) -> Figure:
    """Each histogram with its own scale, its mean and deviation beside it."""
    kinds = data["of"]
    layers = [layer for layer in data["layers"] if any(layer[kind] for kind in kinds)]
    # of a deep network its first and last layers
    shown = layers if len(layers) <= _MOST else [*layers[: _MOST // 2], *layers[-_MOST // 2 :]]
    # dozens of small panels take a layout engine seconds; here every one has the same size
    width, height = 1.4 + 2.5 * len(kinds), 1.1 + 1.05 * max(1, len(shown))
    figure = canvas(width, height, f"Histograms · {caption(data)}", arranged=False)
    grid = figure.subplots(max(1, len(shown)), len(kinds), squeeze=False)
    edges = {"left": 1.3 / width, "right": 1 - 0.15 / width, "bottom": 0.3 / height, "top": 1 - 0.75 / height}
    figure.subplots_adjust(**edges, hspace=0.7, wspace=0.18)
    for row, layer in zip(grid, shown, strict=False):
        for axes, kind, colour in zip(row, kinds, COLOURS, strict=False):
            _one(axes, layer[kind], colour)
        row[0].set_ylabel(f"{layer['layer']} {layer['type']}", rotation=0, ha="right", va="center", fontsize=8.5)
        row[0].yaxis.set_visible(True)
    for axes, kind in zip(grid[0], kinds, strict=True):
        axes.set_title(kind, loc="left", fontsize=10, color="#666666")
    return figure


def _one(axes: Axes, histogram: Data | None, colour: str) -> None:
    panel(axes, grid=None)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.tick_params(labelsize=7)
    if histogram is None or not histogram["counts"]:
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        if histogram is not None:
            axes.text(
                0.5, 0.5, "not finite", ha="center", va="center", transform=axes.transAxes, color=GREY, fontsize=8
            )
        return
    axes.stairs(array(histogram["counts"]), array(histogram["edges"]), color=colour, fill=True, alpha=0.8)
    axes.locator_params(axis="x", nbins=4)
    words = f"{figures(histogram['mean'], 2)} ± {figures(histogram['deviation'], 2)}"
    if histogram["zeros"] > 0.005:
        words += f", {100 * histogram['zeros']:.0f} % zeros"
    axes.set_title(words, loc="right", fontsize=7, color="#555555", pad=2)
