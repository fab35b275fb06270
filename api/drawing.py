"""The way to `api.pictures`, which is loaded when the first picture is asked for.

Matplotlib takes half a second and 25 MB to import, which most API processes never need; it is not safe
to draw from two threads, so one picture is drawn at a time.
"""

from __future__ import annotations

import importlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_one_at_a_time = threading.Lock()
Row = tuple[int, int, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class Curves:
    """A job's history, ready to be drawn: rows of (epoch, step, values by name), and the fold of each if there are."""

    title: str
    status: str
    rows: Sequence[Row]
    best_epoch: int | None = None
    folds: Sequence[int | None] = ()


@dataclass(frozen=True, slots=True)
class Layers:
    """What a job's history tells of its layers: rows of (step, values by name), and the layers' types by index."""

    title: str
    status: str
    rows: Sequence[tuple[int, Mapping[str, float | None]]]
    types: Sequence[str]


def draw_layers(kind: Literal["svg", "png"], layers: Layers) -> bytes:
    """The picture; the same history gives the same bytes."""
    with _one_at_a_time:
        picture: bytes = importlib.import_module("api.pictures").render_layers(kind, layers)
        return picture


def draw(kind: Literal["svg", "png"], curves: Curves) -> bytes:
    """The picture; the same curves give the same bytes."""
    with _one_at_a_time:
        picture: bytes = importlib.import_module("api.pictures").render_curves(kind, curves)
        return picture


def draw_analysis(kind: Literal["svg", "png"], data: Mapping[str, Any]) -> bytes:
    """The picture of an analysis, from its data alone; the same data give the same bytes."""
    with _one_at_a_time:
        picture: bytes = importlib.import_module("api.pictures").render(kind, data)
        return picture


class Drawn:
    """The pictures drawn last, so that a page that is looked at again costs nothing; an analysis never changes."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """The picture that was drawn under this key, if it is still here."""
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)

    def draw(self, kind: Literal["svg", "png"], data: Mapping[str, Any], key: str) -> bytes:
        """Draws the analysis and keeps the picture under the key."""
        picture = draw_analysis(kind, data)
        with self._lock:
            self._pictures[key] = picture
            while len(self._pictures) > self._most:
                self._pictures.popitem(last=False)
        return picture
