"""The loss landscape: its centre is the plain loss, directions are as long as the filters, weights come back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from core.engine.analyses import directions
from core.engine.analyses.context import part_of
from core.engine.analyses.landscape import path_axis, restored
from core.engine.analyses.objective import plain_loss
from core.engine.evaluate import Evaluator
from core.errors import Invalid
from tests.core.engine.analyses.bodies import DIABETES, IRIS, MOONS
from tests.core.engine.analyses.conftest import Studio

SMALL = {"type": "loss_landscape", "points": 5}
NORMED: dict[str, Any] = {
    **MOONS,
    "network": {
        "layers": [
            {"type": "linear", "units": 8},
            {"type": "batch_norm"},
            {"type": "relu"},
            {"type": "dropout", "p": 0.3},
        ]
    },
    "training": {"epochs": 5},
}


@pytest.mark.parametrize("body", [MOONS, NORMED, IRIS, DIABETES])
@pytest.mark.parametrize("request_of", [{}, {"dimensions": 1}, {"rows": 50, "seed": 3}, {"split": "test"}])
def test_the_centre_is_the_plain_loss_and_nothing_moves(studio: Studio, body: Any, request_of: Any) -> None:
    context = studio.context(body)
    before = {name: tensor.clone() for name, tensor in context.model.network.state_dict().items()}
    data = studio.analyse(body, SMALL | request_of)
    part = part_of(context, data["split"], request_of.get("rows", 1000), request_of.get("seed", 0))
    evaluator = Evaluator(context.spec, context.loss(), context.prepared().preparation, (), 2048)
    wanted = evaluator(context.model.network, part.rows, "x")["x.loss"]
    assert data["centre"]["loss"] == wanted
    at = (data["centre"]["y"], data["centre"]["x"]) if data["dimensions"] == 2 else (data["centre"]["x"],)
    assert np.array(data["loss"])[at] == wanted
    for name, tensor in context.model.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_surface_is_the_loss_of_moved_weights(studio: Studio) -> None:
    context = studio.context(MOONS)
    data = studio.analyse(MOONS, SMALL | {"seed": 7})
    network, part = context.model.network, part_of(context, "train", 1000, 7)
    d1, d2 = (directions.random_direction(network, 7, index) for index in (0, 1))
    with restored(network), torch.no_grad():
        for parameter, one, other in zip(network.parameters(), d1, d2, strict=True):
            parameter.add_(data["x"][4] * one + data["y"][1] * other)
        wanted = plain_loss(network, context.loss(), part.rows)
    assert data["loss"][1][4] == pytest.approx(wanted, rel=1e-6)
    assert data["loss"][1][4] > data["centre"]["loss"]
    assert studio.analyse(MOONS, SMALL | {"seed": 7}) == data
    assert studio.analyse(MOONS, SMALL | {"seed": 8})["loss"] != data["loss"]


def test_directions_are_as_long_as_the_filters() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(20, 4), nn.LSTM(3, 2))
    for parameter, direction in zip(network.parameters(), directions.random_direction(network, 0, 0), strict=True):
        if parameter.ndim < 2:
            assert not direction.any()
        else:
            lengths = parameter.detach().flatten(1).norm(dim=1)
            assert torch.allclose(direction.flatten(1).norm(dim=1), lengths, rtol=1e-6)


def test_the_path_lies_in_the_plane_that_explains_it(studio: Studio) -> None:
    context = studio.context(MOONS)
    data = studio.analyse(MOONS, SMALL | {"directions": "trajectory", "points": 9})
    assert len(data["path"]) == len(context.trajectory) == 20
    weights = np.array([[*map(float, _flat(path))] for path in context.trajectory])
    centred = weights - weights.mean(0)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    assert data["variance_explained"] == pytest.approx((values / values.sum())[:2].tolist(), rel=1e-6)
    # the plane keeps of each pair's distance what the two components have of it
    x = np.array([[point["x"], point["y"]] for point in data["path"]])
    assert np.square(x - x.mean(0)).sum() == pytest.approx(values[:2].sum(), rel=1e-6)
    best = next(point for point in data["path"] if point["step"] == data["centre"]["step"])
    assert (best["x"], best["y"], best["loss"]) == (0.0, 0.0, data["centre"]["loss"])
    assert data["x"][0] <= x[:, 0].min() <= x[:, 0].max() <= data["x"][-1]


def _flat(path: Any) -> np.ndarray:
    tensors, _ = directions.read_tensors(path)
    return np.concatenate([tensors[name].reshape(-1).numpy() for name in sorted(tensors)])


def test_one_checkpoint_is_no_path(studio: Studio) -> None:
    with pytest.raises(Invalid, match="keep_last"):
        studio.analyse(IRIS, SMALL | {"directions": "trajectory"})


def test_what_would_take_hours_is_refused(studio: Studio) -> None:
    wide = {**MOONS, "network": {"family": "feed_forward", "hidden": [2000, 2000]}, "training": {"epochs": 1}}
    wide["optimizer"] = {"type": "sgd", "lr": 0.01}
    with pytest.raises(Invalid, match="operations") as caught:
        studio.analyse(wide, {"type": "loss_landscape", "points": 51, "rows": 5000})
    assert caught.value.errors[0].pointer == "/rows"


@pytest.mark.parametrize("along", [[0.0, 3.0], [-5.0, 0.0], [-2.0, 2.0], [0.0, 0.0], [-1e-9, 4.0]])
@pytest.mark.parametrize("points", [5, 21, 101])
def test_an_axis_over_the_path_has_the_centre_on_it(along: list[float], points: int) -> None:
    axis = path_axis(np.array(along), points, 1.3)
    assert len(axis) == points
    assert 0.0 in axis
    assert axis[0] <= min(along)
    assert axis[-1] >= max(along)
