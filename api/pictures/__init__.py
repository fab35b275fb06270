"""Pictures of analyses: one function `draw(data) -> Figure` for each type, from the data that the API answers alone.

Matplotlib is slow to import and draws for one thread at a time: `api.drawing` is the way here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import matplotlib as mpl
from matplotlib.figure import Figure

from api.pictures import calibration, confusion, loss_landscape, roc
from api.pictures.house import Data
from api.plots import STYLE, saved

PICTURES: dict[str, Callable[[Data], Figure]] = {
    "calibration": calibration.draw,
    "confusion": confusion.draw,
    "loss_landscape": loss_landscape.draw,
    "roc": roc.draw,
}


def render(kind: Literal["svg", "png"], data: Data) -> bytes:
    """The bytes of the picture of an analysis; the same data give the same bytes."""
    with mpl.rc_context(STYLE):
        return saved(PICTURES[data["type"]](data), kind)
