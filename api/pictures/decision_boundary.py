"""What a network answers over a plane or a line of its inputs, with rows as points."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from api.pictures.house import COLOURS, INK, MANY, Data, array, canvas, caption, class_colours, figures, label, panel

_HEADINGS = {"classification": "Decision boundary", "regression": "Prediction", "reconstruction": "Error"}


def draw(data: Data) -> Figure:
    """A map of colours, or lines over one feature."""
    figure = canvas(6.2, 5.0, f"{_HEADINGS[data['task']]} · {caption(data)}")
    axes = figure.subplots()
    panel(axes, _held(data), grid=None)
    if data["dimensions"] == 1:
        _line(axes, data)
    else:
        _map(figure, axes, data)
    axes.set_xlabel(label(data["features"][0], 40))
    return figure


def _map(figure: Figure, axes: Axes, data: Data) -> None:
    extent = (data["x"][0], data["x"][-1], data["y"][0], data["y"][-1])
    points = data["points"]
    if data["classes"]:
        picture = _coloured(data)
        axes.imshow(picture, extent=extent, origin="lower", aspect="auto", interpolation="bilinear")
        if len(data["classes"]) == 2:
            p = array(data["probability"])
            axes.contour(data["x"], data["y"], p, levels=[0.5], colors=[INK], linewidths=1.2)
        colours = class_colours(len(data["classes"]))
        known = np.array(points["class"])
        for index, name in enumerate(data["classes"]):
            here = known == index
            if here.any():
                where = array(points["x"])[here], array(points["y"])[here]
                axes.scatter(*where, s=14, color=colours[index], edgecolor="white", linewidth=0.5, label=label(name))
        if len(data["classes"]) <= 12:
            axes.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=8.5)
    else:
        values = array(data["value"])
        low, high = np.nanpercentile(np.r_[values.reshape(-1), array(points["value"])], (1, 99))
        image = axes.imshow(
            values,
            extent=extent,
            origin="lower",
            aspect="auto",
            cmap=MANY,
            vmin=low,
            vmax=high,
            interpolation="bilinear",
        )
        style: dict[str, Any] = {
            "s": 16,
            "cmap": MANY,
            "vmin": low,
            "vmax": high,
            "edgecolor": "white",
            "linewidth": 0.5,
        }
        axes.scatter(points["x"], points["y"], c=array(points["value"]), **style)
        bar = figure.colorbar(image, ax=axes, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(label(data["target"] or "reconstruction error", 40))
    axes.set_xlim(*extent[:2])
    axes.set_ylim(*extent[2:])
    axes.set_ylabel(label(data["features"][1], 40))


def _coloured(data: Data) -> NDArray[np.float64]:
    """(Y, X, 3) the called class's colour, paler where the network is less sure."""
    called, p = np.array(data["called"]), array(data["probability"])
    count = len(data["classes"])
    # from a guess among all classes to certainty
    sure = np.abs(p - 0.5) * 2 if count == 2 else (p - 1 / count) / (1 - 1 / count)
    colours = np.array([to_rgb(colour) for colour in class_colours(count)])[called]
    strength = 0.12 + 0.5 * np.clip(np.nan_to_num(sure), 0, 1)[..., None]
    return np.asarray(colours * strength + (1 - strength))


def _line(axes: Axes, data: Data) -> None:
    points = data["points"]
    axes.grid(visible=True, color="#eeeeee", linewidth=0.7)
    if data["classes"]:
        colours = class_colours(len(data["classes"]))
        known = np.array(points["class"])
        for index, line in enumerate(data["probabilities"]):
            axes.plot(data["x"], array(line), color=colours[index], linewidth=1.8, label=label(data["classes"][index]))
            here = known == index
            # a rug of the rows: each class has its own height
            height = np.full(here.sum(), -0.04 - 0.025 * index)
            axes.plot(array(points["x"])[here], height, "|", color=colours[index], markersize=6)
        axes.set_ylabel("probability")
    else:
        axes.plot(points["x"], points["value"], "o", color=COLOURS[5], markersize=3, alpha=0.7, label="rows")
        axes.plot(data["x"], array(data["value"]), color=COLOURS[1], linewidth=2, label="network")
        axes.set_ylabel(label(data["target"] or "reconstruction error", 40))
    axes.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=8.5)


def _held(data: Data) -> str:
    """What the features that do not vary are held at, or what the plane explains."""
    if data["variance_explained"]:
        return f"{100 * sum(data['variance_explained']):.0f} % of the inputs' variance lies in this plane"
    held = [
        f"{name} = {figures(value) if isinstance(value, float) else label(value)}"
        for name, value in data["held"].items()
    ]
    if not held:
        return ""
    return ", ".join(held[:4]) + (f" and {len(held) - 4} more held still" if len(held) > 4 else "")
