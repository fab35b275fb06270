"""ROC curves, or background rejection over signal efficiency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from api.pictures.house import COLOURS, GREY, Data, array, canvas, caption, figures, label, panel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _View:
    """What is drawn over what: `of` gives x and y from the false and the true positive rate."""

    heading: str
    x: str
    y: str
    of: Callable[[Floats, Floats], tuple[Floats, Floats]]


def _inverse(fpr: Floats, tpr: Floats) -> tuple[Floats, Floats]:
    there = fpr > 0
    return tpr[there], 1 / fpr[there]


_VIEWS = {
    "roc": _View("ROC", "false positive rate", "true positive rate", lambda fpr, tpr: (fpr, tpr)),
    "rejection": _View(
        "Background rejection",
        "signal efficiency",
        "background rejection, 1 − false positive rate",
        lambda fpr, tpr: (tpr, 1 - fpr),
    ),
    "inverse": _View(
        "Background rejection 1/ε", "signal efficiency ε(signal)", "background rejection 1/ε(background)", _inverse
    ),
}
# more lines than that are told apart by nobody
_MOST = 8


def draw(data: Data) -> Figure:
    """One line a class, the lowest areas first; the legend tells each one's. Dashed: what a guess would reach."""
    view = _VIEWS[data["axes"]]
    figure = canvas(5.4, 4.9, f"{view.heading} · AUC {figures(data['auc'], 4)} · {caption(data)}")
    axes = figure.subplots()
    panel(axes)
    curves = sorted(data["curves"], key=lambda curve: curve["auc"] or 0)[:_MOST]
    for curve, colour in zip(curves, COLOURS, strict=False):
        words = f"{label(curve['class'])} (AUC {figures(curve['auc'], 4)})"
        axes.plot(*view.of(array(curve["fpr"]), array(curve["tpr"])), color=colour, linewidth=1.8, label=words)
    even = np.linspace(0, 1, 101)
    axes.plot(*view.of(even, even), linestyle=(0, (4, 3)), color=GREY, linewidth=1)
    if data["axes"] == "inverse":
        axes.set_yscale("log")
    axes.set_xlabel(view.x)
    axes.set_ylabel(view.y)
    axes.set_xlim(-0.01, 1.01)
    left_out = len(data["aucs"]) - len(curves)
    title = f"the {len(curves)} lowest of {len(data['aucs'])} classes" if left_out else None
    axes.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=8.5, title=title, title_fontsize=8.5)
    return figure
