"""The computational graph: values in blue ink, gradients in red, from the inputs on the left to the loss."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from api.pictures.house import COLOURS, FAINT, GREY, INK, Data, canvas, caption, figures, label

VALUE, GRADIENT = COLOURS[0], COLOURS[1]
# what still has room for its numbers
_NAMED_NODES = 16
_NUMBERED_EDGES = 45
_LINES = 9
Places = dict[int, tuple[float, float]]


def draw(data: Data) -> Figure:
    """A circle for each value, or a box for each layer."""
    what = f"row {data['row']} of the data" if data["row"] is not None else caption(data)
    target = "" if data["target"] is None else f", target {_word(data['target'])}"
    heading = f"Computational graph · loss {figures(data['loss'], 4)} · {what}{target}"
    return _layers(data, heading) if data["detail"] == "layers" else _neurons(data, heading)


def _word(value: object) -> str:
    return figures(value) if isinstance(value, float) else label(value)


def _neurons(data: Data, heading: str) -> Figure:
    columns: dict[int, list[Data]] = {}
    for node in data["nodes"]:
        columns.setdefault(node["layer"], []).append(node)
    tallest = max(len(nodes) for nodes in columns.values())
    numbered = tallest <= _NAMED_NODES
    width, height = min(15.0, 2.1 * len(columns) + 1), min(11.0, max(3.6, (0.62 if numbered else 0.2) * tallest + 1.4))
    figure = canvas(width, height, heading)
    axes = figure.subplots()
    places: Places = {}
    for x, nodes in enumerate(columns.values()):
        for at, node in enumerate(nodes):
            # every column spreads over the same height
            places[node["id"]] = (float(x), -(at + 0.5) / len(nodes) * tallest)
    _edges(axes, data, places, numbered)
    _nodes(axes, data["nodes"], places, numbered)
    for x, (layer, nodes) in enumerate(columns.items()):
        name = nodes[0]["type"] if layer < 0 or nodes[0]["type"] == "loss" else f"{layer} {nodes[0]['type']}"
        axes.text(x, 0.25, name, ha="center", va="bottom", fontsize=9, color="#666666")
    _legend(axes, len(columns), tallest)
    return figure


def _edges(axes: Axes, data: Data, places: Places, numbered: bool) -> None:
    """Wider where more of the gradient flows back; grey where none does."""
    flows = np.array([abs(edge["product"] or 0.0) for edge in data["edges"]])
    top = flows.max(initial=0.0) or 1.0
    strength = np.sqrt(flows / top)
    lines = [(places[edge["from"]], places[edge["to"]]) for edge in data["edges"]]
    colours = [GRADIENT if flow > 0 else "#bbbbbb" for flow in flows]
    axes.add_collection(
        LineCollection(
            lines, colors=colours, linewidths=0.4 + 2.6 * strength, alpha=list(0.25 + 0.45 * strength), zorder=1
        )
    )
    if not numbered or len(data["edges"]) > _NUMBERED_EDGES:
        return
    for index, edge in enumerate(data["edges"]):
        (x0, y0), (x1, y1) = places[edge["from"]], places[edge["to"]]
        # at different distances, so that crossing edges keep their numbers apart
        share = (0.36, 0.5, 0.64)[index % 3]
        x, y = x0 + share * (x1 - x0), y0 + share * (y1 - y0)
        forward = edge.get("weight", edge["local"])
        back = edge.get("gradient", edge["product"])
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.75}
        axes.text(x, y, figures(forward, 2), ha="center", va="bottom", fontsize=7, color=VALUE, bbox=box, zorder=2)
        axes.text(x, y, figures(back, 2), ha="center", va="top", fontsize=7, color=GRADIENT, bbox=box, zorder=2)


def _nodes(axes: Axes, nodes: list[Data], places: Places, numbered: bool) -> None:
    x, y = np.array([places[node["id"]] for node in nodes]).T
    size = 620 if numbered else 60
    axes.scatter(x, y, s=size, facecolor="white", edgecolor="#777777", linewidth=0.9, zorder=3)
    if not numbered:
        return
    for node in nodes:
        at_x, at_y = places[node["id"]]
        for key, side, colour in (("value", "bottom", VALUE), ("gradient", "top", GRADIENT)):
            number = figures(node[key], 2)
            # as wide as the circle
            small = min(7.0, 36 / len(number))
            axes.text(at_x, at_y, number, ha="center", va=side, fontsize=small, color=colour, zorder=4)
        if node["layer"] < 0 or not _is_plain(node["label"]):
            axes.annotate(
                label(node["label"], 18),
                (at_x, at_y),
                xytext=(0, -16),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=7,
                color=INK,
                zorder=4,
            )


def _is_plain(name: str) -> bool:
    """Whether a node has no name but its number, or is the loss, whose column says it."""
    return name == "loss" or name.replace(".", "").isdigit()


def _legend(axes: Axes, columns: int, tallest: float) -> None:
    axes.plot([], [], "s", color=VALUE, label="value; on an edge the weight, or the local derivative dy/du")
    axes.plot([], [], "s", color=GRADIENT, label="gradient dL/du; on an edge that of the weight, or dL/dy · dy/du")
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.01), frameon=False, fontsize=8, ncols=1 if columns < 5 else 2
    )
    axes.set_xlim(-0.6, columns - 0.4)
    axes.set_ylim(-tallest - 0.3, 0.9)
    axes.axis("off")


def _layers(data: Data, heading: str) -> Figure:
    """Boxes from left to right in lines; under each how large the gradient is that comes back to it."""
    nodes = data["nodes"]
    lines = -(-len(nodes) // _LINES)
    figure = canvas(min(14.0, 1.5 * min(len(nodes), _LINES) + 0.6), 1.0 + 1.7 * lines, heading)
    axes = figure.subplots()
    for at, node in enumerate(nodes):
        x, y = at % _LINES, -2.0 * (at // _LINES)
        axes.add_patch(
            FancyBboxPatch(
                (x - 0.36, y - 0.34), 0.72, 0.68, boxstyle="round,pad=0.04", facecolor="#f6f8fa", edgecolor=FAINT
            )
        )
        name = label(node["label"], 26)
        size = min(8.5, 125 / max(1, len(name)))
        axes.text(x, y + 0.2, name, ha="center", va="center", fontsize=size, fontweight="bold")
        if node["type"] == "loss":
            axes.text(x, y - 0.05, figures(node["value"]), ha="center", va="center", fontsize=8, color=VALUE)
            continue
        shape = "×".join(map(str, node["shape"]))
        axes.text(x, y, shape, ha="center", va="center", fontsize=7.5, color=GREY)
        spread = f"{figures(node['mean'], 2)} ± {figures(node['deviation'], 2)}"
        axes.text(x, y - 0.2, spread, ha="center", va="center", fontsize=7, color=VALUE)
        axes.text(x, y - 0.56, f"‖dL/du‖ {figures(node['gradient_norm'], 2)}", ha="center", fontsize=7, color=GRADIENT)
        # behind the last of a line, and before the first of the next: it goes on there
        for end in (x + 0.6, -0.4) if (at + 1) % _LINES == 0 else (x + 0.6,):
            down = 2.0 if end < 0 else 0.0
            axes.annotate("", (end, y - down), (end - 0.2, y - down), arrowprops={"arrowstyle": "->", "color": GREY})
    axes.set_xlim(-0.6, min(len(nodes), _LINES) - 0.4)
    axes.set_ylim(-2.0 * (lines - 1) - 0.8, 0.6)
    axes.axis("off")
    return figure
