"""Motion in an SVG that Matplotlib drew: paths that grow and curves that are uncovered, by SMIL and without scripts.

What moves is written in full as well, so that a viewer that does not animate shows the last state.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

# the last state stands still for the rest of the time
MOVES = 0.85
Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moving:
    """A path in the coordinates of its axes: `points` (n, 2), reached at `times` (n,) between 0 and 1."""

    colour: str
    points: Points
    times: Points


@dataclass(frozen=True, slots=True)
class Reveal:
    """Curves, by the `gid` that they were drawn with, that are uncovered from left to right."""

    axes: Axes
    gids: Sequence[str]


def animate(
    svg: str, figure: Figure, plane: Axes | None, moving: Sequence[Moving], reveal: Reveal, *, seconds: float
) -> str:
    """The SVG of a figure of 72 dots per inch with what moves put into it."""
    height = figure.get_figheight() * 72
    # a tenth of a point is enough, and half of the file
    svg = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), svg)
    for gid in reveal.gids:
        svg = svg.replace(f'<g id="{gid}"', f'<g clip-path="url(#uncovered)" id="{gid}"')
    parts = [_uncovering(reveal.axes, height, seconds)]
    if plane is not None:
        parts.append(_frame(plane, height))
        parts += [_path(plane, height, one, f"track-{index}", seconds) for index, one in enumerate(moving)]
        parts.append("</g>")
    head, end, tail = svg.rpartition("</svg>")
    return f"{head}{''.join(parts)}{end}{tail}"


def _box(axes: Axes, height: float) -> tuple[float, float, float, float]:
    """x, y, width and height of the axes as SVG counts, from the top."""
    box = axes.bbox
    return box.x0, height - box.y1, box.width, box.height


def _uncovering(axes: Axes, height: float, seconds: float) -> str:
    x, y, width, tall = _box(axes, height)
    rectangle = f'<rect x="{x:.1f}" y="{y - 5:.1f}" width="{width + 5:.1f}" height="{tall + 10:.1f}">'
    times = f'keyTimes="0;{MOVES};1" dur="{seconds:g}s" repeatCount="indefinite"'
    move = f'<animate attributeName="width" values="0;{width + 5:.1f};{width + 5:.1f}" {times}/>'
    return f'<defs><clipPath id="uncovered">{rectangle}{move}</rect></clipPath></defs>'


def _frame(axes: Axes, height: float) -> str:
    x, y, width, tall = _box(axes, height)
    rectangle = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{tall:.1f}"/>'
    return f'<defs><clipPath id="plane">{rectangle}</clipPath></defs><g clip-path="url(#plane)">'


def _path(axes: Axes, height: float, moving: Moving, name: str, seconds: float) -> str:
    at = axes.transData.transform(moving.points)
    x, y = at[:, 0], height - at[:, 1]
    if len(x) == 1:
        return _dot(moving.colour, x, y, "")
    line = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x.round(1)), np.diff(y.round(1))))])
    # the last state once more, at the end of the time
    times = np.append(moving.times * MOVES, 1.0)
    rest = np.append(lengths[-1] - lengths, 0.0)
    timing = f'keyTimes="{_list(times, 4)}" dur="{seconds:g}s" repeatCount="indefinite"'
    grow = f'<animate attributeName="stroke-dashoffset" values="{_list(rest, 1)}" {timing}/>'
    whole = f'stroke-dasharray="{lengths[-1] + 0.2:.1f}" fill="none" stroke-linejoin="round"'
    path = f'<defs><path id="{name}" d="{line}" {whole}>{grow}</path></defs>'
    # the same path twice: white below, so that it stands out from what it crosses
    under = f'<use href="#{name}" stroke="#fff" stroke-width="3.4" stroke-opacity="0.7"/>'
    over = f'<use href="#{name}" stroke="{moving.colour}" stroke-width="1.8"/>'
    return path + under + over + _dot(moving.colour, x, y, timing)


def _dot(colour: str, x: Points, y: Points, timing: str) -> str:
    moves = "".join(
        f'<animate attributeName="{name}" values="{_list(np.append(values, values[-1]), 1)}" {timing}/>'
        for name, values in (("cx", x), ("cy", y))
        if timing
    )
    look = f'r="4.2" fill="{colour}" stroke="#fff" stroke-width="1.2"'
    return f'<circle cx="{x[-1]:.1f}" cy="{y[-1]:.1f}" {look}>{moves}</circle>'


def _list(values: Points, digits: int) -> str:
    return ";".join(f"{value:.{digits}f}".rstrip("0").rstrip(".") or "0" for value in values)
