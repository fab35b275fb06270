"""Learning curves: the loss, and what else is reported, over the epochs or steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from api.drawing import Curves, Row
from api.pictures.fold_curves import Band, over_folds
from api.pictures.house import COLOURS, GREY, canvas, panel, printable
from core.spec.metrics import METRICS, metric_info

# one style for each part in every panel: solid is what was not trained on
SPLITS = {"train": ":", "validation": "-", "test": "--"}
LOG_FROM = 50.0
MOST_SERIES = 6
Series = tuple[str, list[float], list[float]]


def draw(curves: Curves) -> Figure:
    """A figure with the loss on the left and a panel for each kind of metric beside it."""
    rows, bands = over_folds(curves.rows, curves.folds) if curves.folds else (curves.rows, {})
    by_epoch = len({epoch for epoch, _, _ in rows}) == len(rows)
    panels = [
        ("loss", [s for split in SPLITS if (s := series(rows, f"{split}.loss", by_epoch))]),
        ("score", chosen(rows, by_epoch, upwards=True)),
        ("error", chosen(rows, by_epoch, upwards=False)),
    ]
    drawn = [panel for panel in panels if panel[1]] or [("loss", [])]
    figure = canvas(1.2 + 4.6 * len(drawn), 3.9, f"{printable(curves.title, 60)} · {curves.status}")
    for axes, (label, lines) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        draw_panel(axes, label, lines, curves.best_epoch if by_epoch else None, bands)
        axes.set_xlabel("epoch" if by_epoch else "step")
    return figure


def series(rows: Sequence[Row], name: str, by_epoch: bool) -> Series | None:
    """The points of one name; a value that was not finite is a gap. None when no row has it."""
    points = [(row[0] if by_epoch else row[1], row[2][name]) for row in rows if name in row[2]]
    if not points:
        return None
    return name, [float(x) for x, _ in points], [math.nan if y is None else y for _, y in points]


def chosen(rows: Sequence[Row], by_epoch: bool, *, upwards: bool) -> list[Series]:
    """The series of the metrics of which more is better, or less, in the order of their table; as many as one panel can
    show, validation's before train's.
    """
    there = dict.fromkeys(name.partition(".")[2] for row in rows for name in row[2])
    known = {name: info for name in there if (info := metric_info(name)) and info.higher_is_better == upwards}
    table = list(METRICS.values())
    metrics = sorted(known, key=lambda name: table.index(known[name]))
    names = [f"{split}.{metric}" for metric in metrics for split in ("validation", "train")]
    found = [s for name in names if (s := series(rows, name, by_epoch))]
    return found[:MOST_SERIES]


def draw_panel(
    axes: Axes, label: str, lines: Sequence[Series], best_epoch: int | None, bands: Mapping[str, Band]
) -> None:
    """One panel with a legend that finds its own place; bands stand behind their lines."""
    panel(axes, label, grid="y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
    if not lines:
        axes.text(0.5, 0.5, "no metrics yet", ha="center", va="center", transform=axes.transAxes, color=GREY)
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
        axes.axvline(best_epoch, color=GREY, linewidth=1, linestyle=(0, (4, 3)), label=f"best (epoch {best_epoch})")
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
