"""Where rows lie in a hidden layer, and beside it what a grid over it decodes to."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from api.pictures.house import COLOURS, MANY, Data, array, canvas, caption, class_colours, label, panel
from api.pictures.images import sheet, show_image


def draw(data: Data) -> Figure:
    """Points coloured by what is known of the rows."""
    decoded = data["decoded"]
    heading = f"Layer {data['layer']} ({data['layer_type']}), {data['size']} values · {caption(data)}"
    figure = canvas(10.4 if decoded else 6.0, 5.0, heading)
    if decoded:
        axes, beside = figure.subplots(1, 2)
        images = array(decoded["images"])
        low, high = float(images.min()), float(images.max())
        show_image(beside, sheet(images, low), low, high)
        beside.set_title("decoded over the middle of the codes", loc="left", fontsize=10, color="#666666")
    else:
        axes = figure.subplots()
    panel(axes)
    _points(figure, axes, data)
    words = [_axis(data, index) for index in (0, 1)]
    axes.set_xlabel(words[0])
    axes.set_ylabel(words[1] if data["points"]["y"] is not None else "")
    return figure


def _points(figure: Figure, axes: Axes, data: Data) -> None:
    points = data["points"]
    x = array(points["x"])
    y = np.zeros(len(x)) if points["y"] is None else array(points["y"])
    if points["y"] is None:
        axes.set_yticks([])
    size = 12 if len(x) < 800 else 6
    style: dict[str, Any] = {"s": size, "linewidth": 0, "alpha": 0.75}
    if points["class"] is not None:
        known, colours = np.array(points["class"]), class_colours(len(data["classes"]))
        for index, name in enumerate(data["classes"]):
            here = known == index
            if here.any():
                height = y[here] + (0 if points["y"] is not None else index)
                axes.scatter(x[here], height, color=colours[index], label=label(name), **style)
        if len(data["classes"]) <= 20:
            axes.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=8.5, markerscale=1.6)
    elif points["value"] is not None:
        drawn = axes.scatter(x, y, c=array(points["value"]), cmap=MANY, **style)
        bar = figure.colorbar(drawn, ax=axes, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(label(data["label"], 40))
    else:
        axes.scatter(x, y, color=COLOURS[0], **style)


def _axis(data: Data, index: int) -> str:
    explained = data["variance_explained"]
    if explained is None:
        return f"value {index + 1} of layer {data['layer']}"
    return f"principal component {index + 1} ({100 * explained[index]:.0f} %)" if index < len(explained) else ""
