"""The confusion matrix as a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from api.pictures.house import GREY, INK, Data, array, canvas, caption, figures, label

_WORDS = {"true": "share of the true class", "predicted": "share of the called class", "all": "share of all rows"}
# more cells than that hold no readable number
_NUMBERED = 15


def draw(data: Data) -> Figure:
    """Rows are the true classes, columns the called ones; light where nothing is."""
    rates, counts = array(data["rates"]), array(data["counts"])
    names = [label(name, 14) for name in data["classes"]]
    side = min(9.0, max(3.4, 0.52 * len(names) + 1.2))
    figure = canvas(side + 1.3, side + 0.6, f"Confusion · accuracy {figures(data['accuracy'])} · {caption(data)}")
    axes = figure.subplots()
    top = 1.0 if data["normalize"] in ("true", "predicted") else max(np.nanmax(rates, initial=0.0), 1e-300)
    image = axes.imshow(np.ma.masked_invalid(rates), cmap="Blues", vmin=min(0.0, np.nanmin(rates, initial=0)), vmax=top)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
    bar.outline.set_visible(False)
    words = "event weight" if data["weighted"] else "rows"
    bar.set_label(_WORDS.get(data["normalize"], words), color=GREY)
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=0 if max(map(len, names)) * len(names) < 60 else 60)
    axes.set_yticks(ticks, names)
    axes.tick_params(length=0)
    axes.set_xlabel("called")
    axes.set_ylabel("true")
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(names) <= _NUMBERED:
        for row, column in np.ndindex(rates.shape):
            dark = rates[row, column] > 0.6 * top
            text = _cell(float(rates[row, column]), float(counts[row, column]), data["normalize"])
            axes.text(column, row, text, ha="center", va="center", fontsize=7.5, color="white" if dark else INK)
    return figure


def _cell(rate: float, count: float, normalize: str) -> str:
    """The rate and under it the rows; nothing where there are none."""
    if not count:
        return ""
    return f"{rate:g}" if normalize == "none" else f"{figures(rate, 2)}\n({count:,.0f})"
