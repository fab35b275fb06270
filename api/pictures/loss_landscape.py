"""The loss around a checkpoint: a curve, or a map of heights with the path of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from api.pictures.house import COLOURS, INK, MANY, Data, array, canvas, caption, figures, panel

_LEVELS = 18


def draw(data: Data) -> Figure:
    """The star is the checkpoint; dark is low."""
    if data["dimensions"] == 1:
        return _curve(data)
    figure = canvas(6.4, 5.2, _heading(data))
    axes = figure.subplots()
    panel(axes, grid=None)
    losses = array(data["loss"])
    norm, levels = _scale(losses[np.isfinite(losses)])
    held = np.ma.masked_invalid(losses)
    filled = axes.contourf(data["x"], data["y"], held, levels=levels, norm=norm, cmap=MANY, extend="both")
    axes.contour(data["x"], data["y"], held, levels=levels, norm=norm, colors="white", linewidths=0.4, alpha=0.5)
    bar = figure.colorbar(filled, ax=axes, pad=0.02, format=_ticks(levels))
    bar.outline.set_visible(False)
    bar.set_label(f"loss ({data['loss_type']})")
    if data["path"]:
        _path(axes, data["path"])
    axes.plot(
        0, 0, marker="*", markersize=15, color=COLOURS[1], markeredgecolor="white", linestyle="", label="checkpoint"
    )
    axes.set_xlabel(_axis(data, 0))
    axes.set_ylabel(_axis(data, 1))
    axes.set_xlim(data["x"][0], data["x"][-1])
    axes.set_ylim(data["y"][0], data["y"][-1])
    axes.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=8.5)
    return figure


def _curve(data: Data) -> Figure:
    figure = canvas(5.6, 4.0, _heading(data))
    axes = figure.subplots()
    panel(axes)
    losses = array(data["loss"])
    axes.plot(data["x"], losses, color=COLOURS[0], linewidth=1.8, marker="o", markersize=2.5)
    if data["path"]:
        places = [point["x"] for point in data["path"]]
        axes.plot(places, array([p["loss"] for p in data["path"]]), ".-", color=INK, linewidth=0.8, label="training")
    axes.plot(0, data["centre"]["loss"], marker="*", markersize=14, color=COLOURS[1], label="checkpoint", linestyle="")
    finite = losses[np.isfinite(losses)]
    if len(finite) and finite.min() > 0 and finite.max() > 50 * finite.min():
        axes.set_yscale("log")
    axes.set_xlabel(_axis(data, 0))
    axes.set_ylabel(f"loss ({data['loss_type']})")
    axes.legend(frameon=False, fontsize=8.5)
    return figure


def _path(axes: Axes, path: list[Data]) -> None:
    x, y = [point["x"] for point in path], [point["y"] for point in path]
    axes.plot(x, y, color="white", linewidth=2.6, alpha=0.8)
    edge: dict[str, Any] = {"markersize": 5, "markeredgecolor": "white", "markeredgewidth": 0.8}
    axes.plot(x, y, color=INK, linewidth=1.2, marker="o", label="training", **edge)
    first: dict[str, Any] = {
        "marker": "s",
        "markersize": 7,
        "color": COLOURS[4],
        "markeredgecolor": "white",
        "linestyle": "",
    }
    axes.plot(x[0], y[0], label="first kept", **first)


def _heading(data: Data) -> str:
    return f"Loss landscape · {figures(data['centre']['loss'])} at the checkpoint · {caption(data)}"


def _ticks(levels: np.ndarray) -> Callable[[float, int], str]:
    """As many figures as tell neighbouring levels apart."""
    digits = next((n for n in (2, 3, 4) if len({figures(level, n) for level in levels}) == len(levels)), 5)
    return lambda value, _: figures(value, digits)


def _axis(data: Data, index: int) -> str:
    explained = data["variance_explained"]
    if explained:
        return f"principal component {index + 1} of training ({100 * explained[index]:.1f} % of the variance)"
    return f"random direction {index + 1} (in lengths of the filters)"


def _scale(values: np.ndarray) -> tuple[Normalize, np.ndarray]:
    """Levels that show the valley: logarithmic where the loss spans decades, and not beyond the 98th percentile."""
    if not len(values):
        return Normalize(0, 1), np.linspace(0, 1, _LEVELS)
    low, high = float(values.min()), float(np.percentile(values, 98))
    if high <= low:
        low, high = low - 0.5 * (abs(low) or 1), low + 0.5 * (abs(low) or 1)
    if low > 0 and high > 5 * low:
        return LogNorm(low, high), np.geomspace(low, high, _LEVELS)
    return Normalize(low, high), np.linspace(low, high, _LEVELS)
