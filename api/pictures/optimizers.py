"""Optimizers side by side: their paths over contours of the loss, and the loss by step. As SVG the paths move."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from api.pictures.animation import Moving, Reveal, animate
from api.pictures.house import COLOURS, GREY, INK, Data, array, canvas, figures, label, panel, saved

Points = NDArray[np.float64]
LEVELS = 16
# more points than that no path and no curve shows; of all together as many as keep the file small
MOST_POINTS, POINTS_OF_ALL = 240, 1500
MOST_LOSSES, LOSSES_OF_ALL = 600, 3600
# contours begin so far above the lowest point shown, as a share of the highest: nearer all is flat
NEAREST = 1e-4
SECONDS = 7.0
_DASHES = ("-", (0, (4, 1.5)))
_CURVE = "curve-{}"
_POWERS = str.maketrans("234", "²³⁴")
# what diverges leaves the picture so far above all that does not
_TOP = 30.0


@dataclass(frozen=True, slots=True)
class _Track:
    """One optimizer as it is drawn: points (n, 2), and the step that each belongs to."""

    name: str
    colour: str
    dashes: Any
    points: Points
    steps: NDArray[np.int64]


def draw(data: Data) -> Figure:
    """Contours with all paths on the left where there is a plane, the loss by step on the right."""
    figure, plane, _ = _figure(data)
    if plane is not None:
        for track in _tracks(data):
            x, y = track.points.T
            plane.plot(x, y, color="white", linewidth=3.4, alpha=0.7, zorder=3)
            plane.plot(x, y, color=track.colour, linestyle=track.dashes, linewidth=1.8, zorder=4)
            plane.plot(x[-1:], y[-1:], "o", color=track.colour, markersize=6.5, markeredgecolor="white", zorder=6)
    return figure


def animated(data: Data) -> bytes:
    """The same as an SVG in which every path grows step by step, over and over; still where nothing animates."""
    figure, plane, losses = _figure(data)
    figure.set_dpi(72)
    svg = saved(figure, "svg").decode()
    tracks = _tracks(data) if plane is not None else []
    moving = [Moving(track.colour, track.points, track.steps / data["steps"]) for track in tracks]
    reveals = [_CURVE.format(index) for index in range(len(data["optimizers"]))]
    return animate(svg, figure, plane, moving, Reveal(losses, reveals), seconds=SECONDS).encode()


def _figure(data: Data) -> tuple[Figure, Axes | None, Axes]:
    """All but the paths."""
    has_plane = data["mode"] == "surface" or data["plane"] is not None
    figure = canvas(11.4 if has_plane else 7.0, 5.9, _title(data))
    all_axes = figure.subplots(1, 2 if has_plane else 1, squeeze=False, width_ratios=(1.25, 1) if has_plane else None)[
        0
    ]
    plane = all_axes[0] if has_plane else None
    if plane is not None:
        _draw_plane(figure, plane, data)
    _draw_losses(all_axes[-1], data)
    handles = [
        Line2D([], [], color=colour, linestyle=dashes, linewidth=2.2, label=_legend(run, data))
        for run, colour, dashes in _styled(data)
    ]
    figure.legend(
        handles=handles,
        title=f"optimizer: {'loss above the minimum' if data['mode'] == 'surface' else 'training loss'} at the end",
        title_fontproperties={"size": 8.5},
        loc="outside lower center",
        ncols=_columns(handles),
        frameon=False,
        fontsize=8.5,
    )
    return figure, plane, all_axes[-1]


def _title(data: Data) -> str:
    if data["mode"] == "surface":
        surface = data["surface"]
        formula = re.sub(r"\^(\d)", lambda power: power[1].translate(_POWERS), surface["formula"])
        return f"{surface['name'].capitalize()} · {formula} · {data['steps']} steps"
    return f"One network of {data['parameters']:,} parameters · {data['steps']} steps"


def _styled(data: Data) -> list[tuple[Data, str, Any]]:
    """Each optimizer with its colour; from the ninth on the colours come again, dashed."""
    return [
        (run, COLOURS[index % len(COLOURS)], _DASHES[index // len(COLOURS)])
        for index, run in enumerate(data["optimizers"])
    ]


def _columns(handles: Sequence[Line2D]) -> int:
    longest = max(len(str(handle.get_label())) for handle in handles)
    return max(1, min(len(handles), 4, 150 // (longest + 8)))


def _legend(run: Data, data: Data) -> str:
    name = label(run["name"], 60)
    if run["diverged"]:
        return f"{name}: diverged at step {run['diverged_at']}"
    least = data["surface"]["minimum"] if data["mode"] == "surface" else 0.0
    if data["mode"] == "surface":
        return f"{name}: {figures(max(0.0, run['final_loss'] - least))}"
    validation = run["figures"].get("validation.loss")
    return f"{name}: {figures(_smooth(array(run['loss']))[-1])}" + (
        f", validation {figures(validation)}" if validation is not None else ""
    )


def _tracks(data: Data) -> list[_Track]:
    tracks = []
    for run, colour, dashes in _styled(data):
        points = array(run["path"]).reshape(-1, 2)
        steps = np.array(run.get("path_steps") or range(len(points)))
        chosen = _thinned(len(points), min(MOST_POINTS, POINTS_OF_ALL // len(data["optimizers"])))
        tracks.append(_Track(run["name"], colour, dashes, points[chosen], steps[chosen]))
    return tracks


def _thinned(count: int, most: int) -> NDArray[np.int64]:
    """Indices of at most so many of `count`, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(np.int64))


def _draw_plane(figure: Figure, axes: Axes, data: Data) -> None:
    panel(axes, grid=None)
    surface = data["mode"] == "surface"
    grid = data["surface"]["grid"] if surface else data["plane"]["grid"]
    if grid is not None:
        least = data["surface"]["minimum"] if surface else None
        _draw_contours(figure, axes, grid, least)
    else:
        axes.margins(0.12)
    tracks = _tracks(data)
    if grid is None:
        every = np.concatenate([track.points for track in tracks])
        axes.update_datalim(every)
        axes.autoscale_view()
    start = tracks[0].points[0]
    axes.plot(*start, "X", color=INK, markersize=9, markeredgecolor="white", zorder=7)
    text = axes.annotate("start", start, (8, 8), textcoords="offset points", fontsize=8.5, color=INK, zorder=8)
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
    if surface:
        for x, y in data["surface"]["minima"]:
            axes.plot(x, y, "*", color="white", markersize=15, markeredgecolor=INK, markeredgewidth=1.1, zorder=5)
        axes.set_xlabel("x")
        axes.set_ylabel("y", rotation=0)
        return
    first, second = data["plane"]["explained"]
    axes.set_xlabel(f"first principal component of the paths ({first:.0%} of their spread)")
    axes.set_ylabel(f"second ({second:.0%})")


def _draw_contours(figure: Figure, axes: Axes, grid: Data, least: float | None) -> None:
    """Levels that are equally far apart on a logarithmic scale above the least value."""
    x, y, loss = array(grid["x"]), array(grid["y"]), array(grid["loss"])
    finite = loss[np.isfinite(loss)]
    lowest = float(finite.min()) if least is None else least
    above = np.ma.masked_invalid(loss - lowest)
    top = max(float(above.max()), 1e-300)
    # where the least value is not known the lowest point of the grid stands for it: the second lowest begins
    bottom = max(float(above[above > 0].min()) if (above > 0).any() else top, NEAREST * top)
    if least is None:
        bottom = max(bottom, 1e-2 * top)
    levels = np.geomspace(bottom, top, LEVELS) if bottom < top else np.array([top / 2, top])
    above = np.ma.clip(above, levels[0], levels[-1])
    shades = axes.contourf(x, y, above, levels, norm=LogNorm(levels[0], levels[-1]), cmap="Blues_r", alpha=0.55)
    # lines of their own would make the file half as large again
    shades.set_edgecolor("#557799")
    shades.set_linewidth(0.3)
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    bar = figure.colorbar(shades, ax=axes, pad=0.015, fraction=0.045)
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_minor_locator(NullLocator())
    powers = 10.0 ** np.arange(np.ceil(np.log10(levels[0])), np.floor(np.log10(levels[-1])) + 1)
    ticks: list[float] = (powers if len(powers) > 2 else levels[:: max(1, LEVELS // 5)]).tolist()
    bar.set_ticks(
        ticks, labels=[f"$10^{{{np.log10(tick):.0f}}}$" if len(powers) > 2 else figures(tick, 2) for tick in ticks]
    )
    bar.ax.tick_params(labelsize=8, length=0)
    words = "loss above the minimum" if least is not None else "loss above the lowest shown"
    bar.set_label(words, color=GREY, fontsize=8.5)


def _draw_losses(axes: Axes, data: Data) -> None:
    surface = data["mode"] == "surface"
    panel(axes, "loss above the minimum" if surface else "loss of each batch, smoothed", grid="y")
    curves = [_curve(run, data) for run in data["optimizers"]]
    logarithmic = all((y > 0).all() for y in curves)
    calm = [y.max() for run, y in zip(data["optimizers"], curves, strict=True) if len(y) and not run["diverged"]]
    top = float(max([*calm, *(y[0] for y in curves if len(y))], default=1.0)) * (_TOP if logarithmic else 1.05)
    for index, ((run, colour, dashes), y) in enumerate(zip(_styled(data), curves, strict=True)):
        if not len(y):
            continue
        chosen = _thinned(len(y), min(MOST_LOSSES, LOSSES_OF_ALL // len(curves)))
        line = axes.plot(chosen + (not surface), y[chosen], color=colour, linestyle=dashes, linewidth=1.7)[0]
        line.set_gid(_CURVE.format(index))
        if run["diverged"]:
            at = chosen[-1:], np.minimum(y[-1:], top / 1.5 if logarithmic else top)
            axes.plot(*at, "x", color=colour, markersize=8, markeredgewidth=2, clip_on=False, zorder=6)
    if logarithmic:
        axes.set_yscale("log")
        low = float(min((y.min() for y in curves if len(y)), default=1.0))
        axes.set_ylim(low / 2, min(top, axes.get_ylim()[1]))
    elif top > 0:
        axes.set_ylim(top=min(top, axes.get_ylim()[1]))
    axes.set_xlim(0, max(1, data["steps"]))
    axes.set_xlabel("step")


def _curve(run: Data, data: Data) -> Points:
    """What the loss panel shows of an optimizer; on a surface, where it is 0 in the end, as much as can be told."""
    values = array(run["loss"])
    if data["mode"] == "surface":
        shown: Points = np.maximum(values - data["surface"]["minimum"], 1e-16)
        return shown
    return _smooth(values) if len(values) else values


def _smooth(values: Points) -> Points:
    """Mean of the steps about each, over a twentieth of all: single batches hide the course."""
    width = max(1, len(values) // 20)
    if width == 1:
        return values
    half = width // 2
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    smooth: Points = (total[high] - total[low]) / (high - low)
    return smooth
