"""The house style of every picture: figure, axes, colours, words, and the bytes that come of them.

Matplotlib's object API alone: no pyplot, no global figure, no display.

A text of a user's is drawn through `label`, or with `parse_math=False`: two dollar signs would be a formula.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

Data = Mapping[str, Any]
"""The `data` of an analysis, as the API answers it."""

# Okabe and Ito: told apart by the colour blind too. Train is always the first, validation the second.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#444444")
INK, FAINT = "#333333", "#dddddd"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#999999",
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.hashsalt": "netmill",
}
MANY = "viridis"
DIVERGING = "RdBu_r"
GREY = "#888888"


def saved(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    """The figure's bytes, the same for the same figure; to be called within the style."""
    target = io.BytesIO()
    if kind == "svg":
        # without the date the same curves give the same bytes, and so the same ETag
        FigureCanvasSVG(figure)
        figure.savefig(target, format="svg", metadata={"Date": None})
    else:
        FigureCanvasAgg(figure)
        figure.savefig(target, format="png")
    return target.getvalue()


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


def printable(text: str, most: int) -> str:
    """A user's text for a picture: at most so long, without control characters, which SVG does not allow."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


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
