"""The picture of a run's layers is one whatever the history holds."""

from __future__ import annotations

import struct
import time
from xml.etree import ElementTree as ET

import pytest

from api.drawing import Layers, draw_layers
from api.pictures import layers as picture
from core.events import Metrics
from tests.api.conftest import Live

TYPES = ["linear", "sigmoid"] * 12 + ["linear"]


def values(step: int) -> dict[str, float | None]:
    told: dict[str, float | None] = {}
    for index, kind in enumerate(TYPES):
        told |= {f"layer.{index}.activation_std": 0.1 + index / step, f"layer.{index}.gradient_scale": 0.25}
        if kind == "linear":
            told |= {f"layer.{index}.gradient_norm": 4.0 ** (index - 24), f"layer.{index}.update_ratio": 0.001 / step}
        else:
            told[f"layer.{index}.saturated"] = index / 25
    return told


DEEP = Layers("deep", "succeeded", [(step, values(step)) for step in (1, 4, 16, 64, 100, 200, 300)], TYPES)


def test_four_panels_show_the_numbers() -> None:
    figure = picture.draw(DEEP)
    gradients, updates, deviations, idle = figure.axes[:4]
    lines = gradients.get_lines()
    assert [str(line.get_label()) for line in lines] == [f"{index} linear" for index in range(0, 25, 2)]
    assert list(lines[1].get_ydata()) == [4.0**-22] * 7  # type: ignore[arg-type]
    assert list(lines[1].get_xdata()) == [1, 4, 16, 64, 100, 200, 300]  # type: ignore[arg-type]
    assert gradients.get_yscale() == updates.get_yscale() == "log"
    # of many lines some are named, the first and the last among them
    legend = gradients.get_legend()
    assert legend is not None
    named = [text.get_text() for text in legend.get_texts()]
    assert (named[0], named[-1], len(named)) == ("0 linear", "24 linear", 6)
    assert [text.get_text() for text in deviations.get_yticklabels()] == [f"{i} {kind}" for i, kind in enumerate(TYPES)]
    assert [text.get_text() for text in idle.get_yticklabels()] == [f"{i} sigmoid" for i in range(1, 24, 2)]


ODD = [
    Layers("x", "running", [], TYPES),
    Layers("two $dollars$ and \\frac{ <script>&\x01", "failed", [(1, {"layer.0.gradient_norm": None})], ["linear"]),
    Layers("x", "running", [(1, {"layer.0.activation_std": 0.0, "layer.0.gradient_norm": 0.0})], ["linear"]),
    Layers("x", "running", [(1, {"layer.7.activation_std": 1.0})], ["linear"]),
    Layers("x", "running", [(step, {"layer.0.activation_std": 1.0, "layer.0.dead": 1.0}) for step in (1, 2)], ["relu"]),
]


@pytest.mark.parametrize("layers", [DEEP, *ODD])
def test_nothing_in_a_history_breaks_it(layers: Layers) -> None:
    assert ET.fromstring(draw_layers("svg", layers))[0] is not None
    assert draw_layers("svg", layers) == draw_layers("svg", layers)


def test_without_statistics_it_says_how_to_get_them() -> None:
    (axes,) = picture.draw(ODD[0]).axes
    assert [text.get_text() for text in axes.texts] == ["no statistics of layers: set monitor.layers to true"]


def test_it_is_served_and_leaves_the_learning_curves_alone(live: Live) -> None:
    job_id = live.submit()
    live.claim(job_id)
    empty = live.http.get(f"/v1/jobs/{job_id}/layers.svg")
    assert (empty.status_code, empty.headers["content-type"]) == (200, "image/svg+xml")
    for epoch in (1, 2):
        live.record(job_id, Metrics(epoch, 4 * epoch - 2, {"layer.0.gradient_norm": 0.5 / epoch}, time=time.time()))
        live.epoch(job_id, epoch)
    svg, png = (live.http.get(f"/v1/jobs/{job_id}/layers.{kind}") for kind in ("svg", "png"))
    assert ET.fromstring(svg.content)[0] is not None
    assert svg.content != empty.content
    width, height = struct.unpack(">II", png.content[16:24])
    assert width > height > 500
    again = live.http.get(f"/v1/jobs/{job_id}/layers.svg", headers={"If-None-Match": svg.headers["etag"]})
    assert again.status_code == 304
    curves = live.http.get(f"/v1/jobs/{job_id}/plot.svg").text
    # rows of layers between those of epochs do not make steps of the epochs
    assert "<!-- epoch -->" in curves
    assert live.http.get("/v1/jobs/job_nobody/layers.png").status_code == 404
