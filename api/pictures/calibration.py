"""The reliability diagram with the histogram of the probabilities under it."""

from __future__ import annotations

from matplotlib.figure import Figure

from api.pictures.house import COLOURS, GREY, Data, canvas, caption, figures, label, panel


def draw(data: Data) -> Figure:
    """Points on the diagonal are probabilities that can be believed; below it the network is too sure of itself."""
    figure = canvas(5.2, 5.8, f"Calibration · ECE {figures(data['ece'])} · {caption(data)}")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    filled = [each for each in data["bins"] if each["rows"]]
    of_class = data["class"] is not None
    panel(above, f"class {label(data['class'])}" if of_class else "the class called")
    above.plot((0, 1), (0, 1), linestyle=(0, (4, 3)), color=GREY, linewidth=1, label="perfect")
    above.errorbar(
        [each["probability"] for each in filled],
        [each["right"] for each in filled],
        yerr=[each["deviation"] for each in filled],
        color=COLOURS[0],
        marker="o",
        markersize=4.5,
        linewidth=1.6,
        elinewidth=1,
        capsize=2,
        label="network",
    )
    above.set_ylabel("share of that class" if of_class else "share that is right")
    above.set_ylim(-0.04, 1.04)
    above.legend(frameon=False, fontsize=8.5, loc="upper left")
    panel(below)
    below.bar(
        [each["from"] for each in filled],
        [each["weight"] for each in filled],
        width=[each["to"] - each["from"] for each in filled],
        align="edge",
        color=COLOURS[5],
        edgecolor="white",
        linewidth=0.6,
    )
    below.set_ylabel("event weight" if data["weighted"] else "rows")
    below.set_xlabel("probability given")
    below.set_xlim(-0.02, 1.02)
    return figure
