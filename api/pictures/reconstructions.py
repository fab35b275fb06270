"""Inputs beside their reconstructions, and the histogram of the errors."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from api.pictures.house import COLOURS, GREY, Data, array, canvas, caption, class_colours, figures, label, panel
from api.pictures.images import show_image

# more of them are too small to be read
_MOST = 8
_MOST_CURVES = 3
_MOST_LINES = 4


def draw(data: Data) -> Figure:
    """Above the examples, below how the errors are spread."""
    shown = _shown(data["examples"])
    height = {"image": 2.6, "sequence": 3.2, "row": max(2.6, min(5.0, 0.19 * len(data["feature_names"] or ()) + 0.9))}[
        data["kind"]
    ]
    figure = canvas(max(6.0, 1.15 * len(shown) + 0.8), height + 2.6, f"Reconstructions · {caption(data)}")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(height, 2.4))[:, 0]
    {"image": _images, "sequence": _sequences, "row": _rows}[data["kind"]](above, shown, data)
    _histogram(below.subplots(), data)
    return figure


def _shown(examples: list[Data]) -> list[Data]:
    """As many as fit: of a longer list its first and last ones, the best and the worst."""
    return examples if len(examples) <= _MOST else [*examples[: _MOST // 2], *examples[-_MOST // 2 :]]


def _title(example: Data, data: Data) -> str:
    name = "" if example["class"] is None else f"{label(data['classes'][example['class']], 12)}\n"
    return f"{name}{figures(example['error'], 2)}"


def _images(above: SubFigure, shown: list[Data], data: Data) -> None:
    inputs = array([example["input"] for example in shown])
    low, high = float(inputs.min()), float(inputs.max())
    for column, (example, pair) in enumerate(zip(shown, above.subplots(2, len(shown), squeeze=False).T, strict=True)):
        show_image(pair[0], array(example["input"]), low, high)
        show_image(pair[1], array(example["reconstruction"]), low, high)
        pair[0].set_title(_title(example, data), fontsize=8)
        if not column:
            pair[0].set_ylabel("input")
            pair[1].set_ylabel("made of it")


def _sequences(above: SubFigure, shown: list[Data], data: Data) -> None:
    """Solid what came in, dashed what was made of it; the first few features or channels."""
    columns = min(4, len(shown))
    grid = above.subplots(-(-min(8, len(shown)) // columns), columns, squeeze=False).reshape(-1)
    for axes in grid:
        panel(axes, grid=None)
        axes.tick_params(labelsize=7)
    for axes, example in zip(grid, shown, strict=False):
        before, after = (_curves(array(example[name]), data["shape"]) for name in ("input", "reconstruction"))
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            axes.plot(one, color=COLOURS[index], linewidth=1.2)
            axes.plot(other, color=COLOURS[index], linewidth=1.2, linestyle=(0, (3, 2)))
        axes.set_title(_title(example, data).replace("\n", " · "), fontsize=8)


def _curves(values: np.ndarray, shape: list[int]) -> np.ndarray:
    """One line a feature: (T, F) by column, one channel (1, L) as it is."""
    return (values if shape[0] == 1 else values.T)[:_MOST_CURVES]


def _rows(above: SubFigure, shown: list[Data], data: Data) -> None:
    """The two best rows and the two worst: each value between the least and greatest shown, its error a line."""
    some = shown if len(shown) <= 4 else [*shown[:2], *shown[-2:]]
    inputs, made = (array([example[name] for example in some]) for name in ("input", "reconstruction"))
    low = np.minimum(inputs.min(0), made.min(0))
    width = np.maximum(inputs.max(0), made.max(0)) - low
    inputs, made = (np.where(width > 0, (each - low) / np.where(width > 0, width, 1), 0.5) for each in (inputs, made))
    names = data["feature_names"] or []
    places = np.arange(inputs.shape[1])
    for at, axes in enumerate(above.subplots(1, len(some), squeeze=False, sharey=True)[0]):
        panel(axes, grid=None)
        axes.hlines(places, inputs[at], made[at], color=GREY, linewidth=1)
        axes.plot(inputs[at], places, "o", color=COLOURS[0], markersize=4, label="input")
        axes.plot(made[at], places, "x", color=COLOURS[1], markersize=4, label="made of it")
        axes.set_title(_title(some[at], data).replace("\n", " · "), fontsize=8.5)
        axes.set_xticks([])
        axes.set_ylim(len(places) - 0.5, -0.5)
        if len(places) == len(names) <= 30:
            axes.set_yticks(places, [label(name, 20) for name in names], fontsize=7.5)
        else:
            axes.set_yticks([])
        if not at:
            axes.legend(frameon=False, fontsize=7.5, loc="lower center", bbox_to_anchor=(0.5, -0.16), ncols=2)


def _histogram(axes: Axes, data: Data) -> None:
    panel(axes, grid="y")
    histogram = data["histogram"]
    edges = array(histogram["edges"])
    by_class = [each for each in histogram["by_class"] or [] if sum(each["counts"])]
    if 1 < len(by_class) <= _MOST_LINES:
        for each, colour in zip(by_class, COLOURS, strict=False):
            share = array(each["counts"]) / sum(each["counts"])
            axes.stairs(share, edges, color=colour, linewidth=1.4, label=label(each["class"]))
        axes.set_ylabel("share of the class")
    else:
        axes.stairs(histogram["counts"], edges, color=COLOURS[5], fill=True, alpha=0.8)
        axes.set_ylabel("rows")
        for each, colour in zip(by_class, class_colours(len(by_class)), strict=True):
            mean = min(each["mean"], edges[-1])
            axes.axvline(mean, color=colour, linewidth=1.5, label=f"{label(each['class'])}, mean {figures(mean, 2)}")
    if 1 < len(by_class) <= 20:
        axes.legend(frameon=False, fontsize=7.5, ncols=2 if len(by_class) > 5 else 1)
    axes.set_xlabel("error (mean square in the network's scale); the last bin holds all beyond")
