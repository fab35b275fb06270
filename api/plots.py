"""Learning curves drawn with Matplotlib's object API: no pyplot, no global figure, no display."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from api.drawing import Curves, Row
from api.fold_curves import Band, over_folds

# one scale from 0 to 1, more is better; and those in the target's units or its square
SCORES = ("accuracy", "balanced_accuracy", "f1", "precision", "recall", "auc", "average_precision", "r2")
ERRORS = ("mse", "rmse", "mae", "mape", "log_loss", "brier")
# one style for each part in every panel: solid is what was not trained on
SPLITS = {"train": ":", "validation": "-", "test": "--"}
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
LOG_FROM = 50.0
MOST_SERIES = 6
Series = tuple[str, list[float], list[float]]


def render(kind: Literal["svg", "png"], curves: Curves) -> bytes:
    """The picture's bytes; for one thread at a time, because the style is the process's while it draws."""
    with mpl.rc_context(STYLE):
        return saved(draw(curves), kind)


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


def draw(curves: Curves) -> Figure:
    """A figure with the loss on the left and a panel for each kind of metric beside it."""
    rows, bands = over_folds(curves.rows, curves.folds) if curves.folds else (curves.rows, {})
    by_epoch = len({epoch for epoch, _, _ in rows}) == len(rows)
    panels = [
        ("loss", [s for split in SPLITS if (s := series(rows, f"{split}.loss", by_epoch))]),
        ("score", chosen(rows, SCORES, by_epoch)),
        ("error", chosen(rows, ERRORS, by_epoch)),
    ]
    drawn = [panel for panel in panels if panel[1]] or [("loss", [])]
    figure = Figure(figsize=(1.2 + 4.6 * len(drawn), 3.9), dpi=120, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)  # type: ignore[call-arg, union-attr]
    heading = printable(curves.title, 60)
    # a name is no formula: without this, two dollar signs in it would be one
    figure.suptitle(f"{heading} · {curves.status}", fontsize=11.5, fontweight="bold", parse_math=False)
    for axes, (label, lines) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        draw_panel(axes, label, lines, curves.best_epoch if by_epoch else None, bands)
        axes.set_xlabel("epoch" if by_epoch else "step")
    return figure


def printable(text: str, most: int) -> str:
    """A user's text for a picture: at most so long, without control characters, which SVG does not allow."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def series(rows: Sequence[Row], name: str, by_epoch: bool) -> Series | None:
    """The points of one name; a value that was not finite is a gap. None when no row has it."""
    points = [(row[0] if by_epoch else row[1], row[2][name]) for row in rows if name in row[2]]
    if not points:
        return None
    return name, [float(x) for x, _ in points], [math.nan if y is None else y for _, y in points]


def chosen(rows: Sequence[Row], metrics: Sequence[str], by_epoch: bool) -> list[Series]:
    """The series of these metrics, validation's before train's, as many as one panel can show."""
    names = [f"{split}.{metric}" for metric in metrics for split in ("validation", "train")]
    found = [s for name in names if (s := series(rows, name, by_epoch))]
    return found[:MOST_SERIES]


def draw_panel(
    axes: Axes, label: str, lines: Sequence[Series], best_epoch: int | None, bands: Mapping[str, Band]
) -> None:
    """One panel: thin frame, faint grid, a legend that finds its own place; bands stand behind their lines."""
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    axes.grid(visible=True, axis="y", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_title(label, loc="left", fontsize=10, color="#666666")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
    axes.tick_params(length=3)
    if not lines:
        axes.text(0.5, 0.5, "no metrics yet", ha="center", va="center", transform=axes.transAxes, color="#888888")
        axes.set_yticks([])
        return
    for (name, x, y), colour in zip(lines, colours([line[0] for line in lines]), strict=True):
        marker = "o" if len(x) < 3 else None
        split, _, metric = name.partition(".")
        words = f"{split} {metric.upper() if metric == 'auc' else metric.replace('_', ' ')}"
        if name in bands:
            axes.fill_between(*bands[name], color=colour, alpha=0.15, linewidth=0)
        axes.plot(x, y, SPLITS[split], color=colour, linewidth=1.8, marker=marker, markersize=4, label=words)
    if label != "score":
        set_scale(axes, [value for _, _, y in lines for value in y if math.isfinite(value)])
    if best_epoch is not None:
        axes.axvline(
            best_epoch, color="#888888", linewidth=1, linestyle=(0, (4, 3)), label=f"best (epoch {best_epoch})"
        )
    axes.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=8.5)


def colours(names: Sequence[str]) -> list[str]:
    """Train blue and validation vermilion for the loss; among metrics one colour for each metric."""
    metrics = list(dict.fromkeys(name.partition(".")[2] for name in names))
    if metrics == ["loss"]:
        order = list(SPLITS)
        return [COLOURS[order.index(name.partition(".")[0])] for name in names]
    return [COLOURS[metrics.index(name.partition(".")[2]) % len(COLOURS)] for name in names]


def set_scale(axes: Axes, values: Sequence[float]) -> None:
    """Logarithmic when the values span orders of magnitude, else linear."""
    positive = [value for value in values if value > 0]
    if len(positive) == len(values) and positive and max(positive) / min(positive) > LOG_FROM:
        axes.set_yscale("log")
