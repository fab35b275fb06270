"""Pictures of analyses: one function `draw(data) -> Figure` for each type, from the data that the API answers alone;
and of what a run has recorded.

Matplotlib is slow to import and draws for one thread at a time: `api.drawing` is the way here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import matplotlib as mpl
from matplotlib.figure import Figure

from api.drawing import Curves, Layers
from api.pictures import (
    activations,
    calibration,
    confusion,
    curves,
    decision_boundary,
    features,
    filters,
    first_values,
    graph,
    histograms,
    latent,
    layers,
    loss_landscape,
    optimizers,
    reconstructions,
    roc,
)
from api.pictures.house import STYLE, Data, saved

PICTURES: dict[str, Callable[[Data], Figure]] = {
    "loss_landscape": loss_landscape.draw,
    "decision_boundary": decision_boundary.draw,
    "confusion": confusion.draw,
    "roc": roc.draw,
    "calibration": calibration.draw,
    "latent": latent.draw,
    "reconstructions": reconstructions.draw,
    "features": features.draw,
    "filters": filters.draw,
    "graph": graph.draw,
    "histograms": histograms.draw,
    # of the lab
    "optimizers": optimizers.draw,
    "init": first_values.draw,
    "activations": activations.draw,
}
ANIMATED: dict[str, Callable[[Data], bytes]] = {"optimizers": optimizers.animated}
"""Pictures that move as SVG and stand still as PNG."""


def render(kind: Literal["svg", "png"], data: Data) -> bytes:
    """The bytes of the picture of an analysis; the same data give the same bytes."""
    with mpl.rc_context(STYLE):
        if kind == "svg" and data["type"] in ANIMATED:
            return ANIMATED[data["type"]](data)
        return saved(PICTURES[data["type"]](data), kind)


def render_curves(kind: Literal["svg", "png"], history: Curves) -> bytes:
    """The bytes of a run's learning curves; the same history gives the same bytes."""
    with mpl.rc_context(STYLE):
        return saved(curves.draw(history), kind)


def render_layers(kind: Literal["svg", "png"], history: Layers) -> bytes:
    """The bytes of the picture of a run's layers; the same history gives the same bytes."""
    with mpl.rc_context(STYLE):
        return saved(layers.draw(history), kind)
