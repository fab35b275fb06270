"""Pictures of the lab: small, safe, still as PNG and moving as SVG, whatever the experiment came to."""

from __future__ import annotations

import re
import struct
from typing import Any, get_args
from xml.etree import ElementTree as ET

import pytest

from api.pictures import render
from core.engine.lab import experiment
from core.spec.activations import ActivationName

SVG = "{http://www.w3.org/2000/svg}"
MOST_BYTES = 300_000
LAYERS = 6


def race(*optimizers: Any, **fields: Any) -> dict[str, Any]:
    return experiment("optimizers", {"optimizers": list(optimizers), "steps": 40, **fields}, None)


def on_network(*losses: list[float], plane: bool) -> dict[str, Any]:
    """What a race on a network answers, as far as its picture looks."""
    runs = [
        {
            "name": f"run {index}",
            "loss": loss,
            "final_loss": loss[-1],
            "figures": {"validation.loss": 0.5} if index else {},
            "path": [[0.0, 0.0], [1.0 + index, 0.5]] if plane else None,
            "path_steps": [0, len(loss)],
            "diverged": False,
            "diverged_at": None,
        }
        for index, loss in enumerate(losses)
    ]
    return {
        "type": "optimizers",
        "mode": "network",
        "parameters": 10,
        "steps": max(map(len, losses)),
        "optimizers": runs,
        "plane": {"explained": [0.8, 0.1], "grid": None} if plane else None,
    }


EXPERIMENTS = {
    "one": lambda: race("adam"),
    "one step": lambda: race("adam", steps=1),
    "all surfaces": lambda: race("adam", "rmsprop", surface="saddle"),
    "twelve, long": lambda: race(*[{"type": "sgd", "lr": 0.0001 * n} for n in range(1, 13)], steps=3000),
    "all diverge": lambda: race({"type": "sgd", "lr": 1e5}, {"type": "sgd", "lr": 1e300}, surface="rosenbrock"),
    "at the minimum": lambda: race("adam", surface="quadratic", start=[0, 0]),
    "far away": lambda: race({"type": "sgd", "lr": 1e-9}, surface="beale", start=[-1000, 1000]),
    "bad names": lambda: race({"type": "adam", "name": "$\\frac{<script>&\x07"}, {"type": "adam", "name": "$"}),
    "network": lambda: on_network([1.0, 0.5, 0.2], [1.0, 0.9, 0.9], plane=True),
    "network without plane": lambda: on_network([1.0, 0.0, -0.5], plane=False),
    "first values": lambda: experiment(
        "init",
        {
            "depth": LAYERS,
            "width": 8,
            "combinations": [
                {"activation": name, "init": init, "name": f"{name} $ {init}"}
                for name in ("relu", "sigmoid", "tanh", "selu", None)
                for init in ("he", "zeros")
            ],
        },
        None,
    ),
    "one layer": lambda: experiment(
        "init", {"depth": 1, "width": 1, "batch": 1, "combinations": [{"activation": "relu", "init": "zeros"}]}, None
    ),
    "every activation": lambda: experiment("activations", {"activations": sorted(get_args(ActivationName))[:12]}, None),
    "beyond numbers": lambda: experiment(
        "init",
        {"depth": 100, "width": 8, "combinations": [{"activation": None, "init": {"type": "normal", "std": 1e6}}]},
        None,
    ),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_outcome_can_be_drawn(name: str) -> None:
    data = EXPERIMENTS[name]()
    png, svg = render("png", data), render("svg", data)
    width, height = struct.unpack(">II", png[16:24])
    assert 500 < width < 2000
    assert 400 < height < 1500
    assert len(svg) < MOST_BYTES
    assert render("svg", data) == svg, "the same data give the same bytes"
    ET.fromstring(svg)
    assert b"<script" not in svg


def test_every_path_grows_to_its_whole_length_and_its_dot_ends_where_it_ends() -> None:
    data = race("adam", {"type": "sgd", "lr": 1e-4}, {"type": "sgd", "lr": 10.0}, surface="rosenbrock")
    root = ET.fromstring(render("svg", data))
    tracks = [path for path in root.iter(f"{SVG}path") if path.get("id", "").startswith("track-")]
    dots = list(root.iter(f"{SVG}circle"))
    assert len(tracks) == len(dots) == 3
    for path, dot in zip(tracks, dots, strict=True):
        points = [tuple(map(float, point.split())) for point in path.get("d", "")[1:].split("L")]
        (grow,) = path.iter(f"{SVG}animate")
        times = [float(time) for time in grow.get("keyTimes", "").split(";")]
        offsets = [float(offset) for offset in grow.get("values", "").split(";")]
        assert len(times) == len(offsets) == len(points) + 1
        assert (times[0], times[-1]) == (0, 1)
        assert times == sorted(times)
        assert offsets[-1] == 0, "in the end all of it is seen"
        assert offsets == sorted(offsets, reverse=True)
        assert float(path.get("stroke-dasharray", "0")) >= offsets[0]
        assert (float(dot.get("cx", "")), float(dot.get("cy", ""))) == points[-1]
        moves = {move.get("attributeName"): move.get("values", "").split(";") for move in dot.iter(f"{SVG}animate")}
        assert [float(x) for x in moves["cx"]] == [x for x, _ in points] + [points[-1][0]]
    # the third has diverged at once: it stands still long before the others
    ends = [float(next(path.iter(f"{SVG}animate")).get("keyTimes", "").split(";")[-2]) for path in tracks]
    assert ends[0] == ends[1] > 10 * ends[2]


def test_curves_are_uncovered_in_step_with_the_paths() -> None:
    svg = render("svg", race("adam", "rmsprop")).decode()
    assert re.findall(r'<g clip-path="url\(#uncovered\)" id="(curve-\d)"', svg) == ["curve-0", "curve-1"]
    assert svg.count('<clipPath id="uncovered">') == 1
    assert svg.count('dur="7s"') == svg.count("<animate ")
