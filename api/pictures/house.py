"""The house style of every picture of an analysis: figure, axes, colours, words.

A text of a user's is drawn through `label`, or with `parse_math=False`: two dollar signs would be a formula.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from api.plots import COLOURS, FAINT, INK, printable

Data = Mapping[str, Any]
"""The `data` of an analysis, as the API answers it."""

MANY = "viridis"
DIVERGING = "RdBu_r"
GREY = "#888888"

__all__ = [
    "COLOURS",
    "DIVERGING",
    "FAINT",
    "GREY",
    "INK",
    "MANY",
    "Data",
    "array",
    "canvas",
    "caption",
    "class_colours",
    "figures",
    "label",
    "panel",
]


def canvas(width: float, height: float, title: str, *, arranged: bool = True) -> Figure:
    """An empty figure of so many inches with its heading; `arranged` leaves the places of its parts to Matplotlib."""
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained" if arranged else None, facecolor="white")
    if arranged:
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)  # type: ignore[call-arg, union-attr]
    heading = printable(title, 110)
    # a letter of this weight is about 0.0076 inches wide for each point of its size
    size = min(11.5, width / (0.0076 * max(1, len(heading))))
    figure.suptitle(heading, fontsize=size, fontweight="bold", parse_math=False)
    return figure


def panel(axes: Axes, title: str = "", grid: str | None = "both") -> None:
    """Thin frame, faint grid (`x`, `y`, `both` or None), a quiet title on the left."""
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    if grid:
        axes.grid(visible=True, axis=grid, color=FAINT, linewidth=0.7)  # type: ignore[arg-type]  # one of its words
    axes.set_axisbelow(True)
    axes.tick_params(length=3)
    if title:
        axes.set_title(printable(title, 70), loc="left", fontsize=10, color="#666666", parse_math=False)


def caption(data: Data) -> str:
    """`test, 300 of 1,000 rows`: which rows an analysis is about."""
    rows, of_rows = data["rows"], data.get("of_rows", data["rows"])
    many = f"{rows:,} rows" if rows == of_rows else f"{rows:,} of {of_rows:,} rows"
    return f"{data['split']}, {'1 row' if rows == of_rows == 1 else many}"


def class_colours(count: int) -> list[str]:
    """A colour for each class: the house's eight, of more classes evenly along one scale."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    return [to_hex(colormaps["turbo"](index / (count - 1))) for index in range(count)]


def label(value: object, most: int = 24) -> str:
    """A user's word for a picture, no formula whatever signs are in it."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return printable(text, most).replace("$", r"\$")


def figures(value: float | None, digits: int = 3) -> str:
    """A number in so many significant digits; a dash where it is not defined."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}g}"


def array(values: Sequence[Any] | Any) -> NDArray[np.float64]:
    """Nested lists as numbers, NaN where the data have null."""
    return np.array(values, dtype=np.float64)
