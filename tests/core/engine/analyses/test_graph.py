"""The computational graph: gradients are finite differences, and the chain rule holds at every node."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from core.engine.analyses.context import part_of
from core.errors import Invalid
from tests.core.engine.analyses.bodies import DIABETES, DIGITS, IRIS, MOONS, WEIGHTED, weighted_moons
from tests.core.engine.analyses.conftest import Studio

SIGMOIDS: dict[str, Any] = {
    "data": {"dataset": "moons", "parameters": {"rows": 200}},
    "network": {"family": "feed_forward", "hidden": [3, 2], "activation": "sigmoid"},
    "training": {"epochs": 3},
}
NORMS: dict[str, Any] = {
    "data": {"dataset": "iris"},
    "network": {
        "layers": [
            {"type": "linear", "units": 4},
            {"type": "batch_norm"},
            {"type": "swish", "learnable": True},
            {"type": "dropout", "p": 0.5},
            {"type": "linear", "units": 3},
            {"type": "layer_norm"},
        ]
    },
    "training": {"epochs": 3},
}
FLAT = {**DIABETES, "network": {"family": "linear"}}


@pytest.mark.parametrize("body", [SIGMOIDS, NORMS, IRIS, FLAT, MOONS])
@pytest.mark.parametrize("rows", [1, 7])
def test_gradients_are_finite_differences(studio: Studio, body: Any, rows: int) -> None:
    data = studio.analyse(body, {"type": "graph", "rows": rows})
    context = studio.context(body)
    part = part_of(context, "test", rows, 0)
    network = copy.deepcopy(context.model.network).double()
    x, target = part.rows.x.double(), part.rows.target
    target = target.double() if target.is_floating_point() else target

    def loss(x: torch.Tensor = x) -> float:
        with torch.no_grad():
            return float(context.loss()(network(x), target, part.rows.loss_weight))

    assert data["loss"] == pytest.approx(loss(), rel=1e-12)
    step = 1e-6
    inputs = [node for node in data["nodes"] if node["layer"] < 0]
    for at, node in enumerate(inputs):
        nudge = torch.zeros_like(x)
        nudge[:, at] = step
        assert node["gradient"] == pytest.approx((loss(x + nudge) - loss(x - nudge)) / (2 * step), rel=1e-5, abs=1e-8)
        assert node["value"] == pytest.approx(float(x[:, at].mean()), rel=1e-9, abs=1e-12)
    for index, module in enumerate(network):
        if isinstance(module, torch.nn.Linear):
            weights = module.weight.detach().view(-1)
            here = {node["id"] for node in data["nodes"] if node["layer"] == index}
            edges = [edge for edge in data["edges"] if edge["to"] in here]
            assert [edge["weight"] for edge in edges] == weights.tolist()
            for at in range(0, len(weights), 5):
                first = float(weights[at])
                ends = []
                for moved in (first + step, first - step):
                    weights[at] = moved
                    ends.append(loss())
                weights[at] = first
                slope = (ends[0] - ends[1]) / (2 * step)
                assert edges[at]["gradient"] == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("body", [SIGMOIDS, NORMS, IRIS, FLAT])
@pytest.mark.parametrize("rows", [1, 5])
def test_the_chain_rule_holds_at_every_node(studio: Studio, body: Any, rows: int) -> None:
    data = studio.analyse(body, {"type": "graph", "rows": rows})
    by_id = {node["id"]: node for node in data["nodes"]}
    flows = dict.fromkeys(by_id, 0.0)
    for edge in data["edges"]:
        flows[edge["from"]] += edge["product"]
        if rows == 1:
            assert edge["product"] == pytest.approx(by_id[edge["to"]]["gradient"] * edge["local"], rel=1e-9, abs=1e-15)
    for node in data["nodes"]:
        if node["type"] != "loss":
            assert node["gradient"] == pytest.approx(flows[node["id"]], rel=1e-9, abs=1e-14)


def test_the_sigmoid_derivative_is_the_lectures(studio: Studio) -> None:
    data = studio.analyse(SIGMOIDS, {"type": "graph"})
    by_id = {node["id"]: node for node in data["nodes"]}
    edges = [edge for edge in data["edges"] if by_id[edge["to"]]["type"] == "sigmoid"]
    assert len(edges) == 5
    for edge in edges:
        s = by_id[edge["to"]]["value"]
        assert edge["local"] == pytest.approx(s * (1 - s), rel=1e-9)
        assert edge["local"] <= 0.25
    assert [node["label"] for node in data["nodes"] if node["layer"] < 0] == ["x1", "x2"]


def test_a_large_network_is_drawn_by_layers(studio: Studio) -> None:
    wide = {**DIGITS, "network": {"layers": [{"type": "linear", "units": 200}, {"type": "relu"}]}}
    data = studio.analyse(wide, {"type": "graph", "rows": 4})
    assert data["detail"] == "layers"
    assert [node["type"] for node in data["nodes"]] == ["input", "linear", "relu", "linear", "loss"]
    weight = next(each for each in data["parameters"] if each["name"] == "0.weight")
    assert weight["shape"] == [200, 64]
    context = studio.context(wide)
    part = part_of(context, "test", 4, 0)
    network = copy.deepcopy(context.model.network).requires_grad_(True)
    context.loss()(network(part.rows.x), part.rows.target, None).backward()
    assert weight["gradient_norm"] == pytest.approx(float(network[0].weight.grad.norm()), rel=1e-4)
    with pytest.raises(Invalid, match="do take detail layers"):
        studio.analyse(wide, {"type": "graph", "detail": "neurons"})


def test_the_model_is_left_alone(studio: Studio) -> None:
    model = studio.context(NORMS).model
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    for request in ("graph", "histograms"):
        studio.analyse(NORMS, {"type": request})
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    assert np.isfinite(studio.analyse(NORMS, {"type": "graph"})["loss"])


def test_the_loss_of_signed_rows_is_divided_as_in_training(studio: Studio) -> None:
    """By the mean weight of the training rows: two rows of opposite sign would be divided by next to nothing."""
    path = weighted_moons(studio.bench.folder, np.random.default_rng(7), 0.3)
    studio.bench.upload("cancelling", path, "csv")
    body = {**WEIGHTED, "data": {**WEIGHTED["data"], "dataset": "cancelling"}}
    context = studio.context(body)
    for seed in range(8):
        part = part_of(context, "test", 2, seed)
        weight = part.rows.loss_weight
        assert weight is not None
        assert part.loss.mean_weight is not None
        each = part.loss.each(context.model.network(part.rows.x), part.rows.target)
        data = studio.analyse(body, {"type": "graph", "rows": 2, "seed": seed})
        assert data["loss"] == pytest.approx(float((weight * each).sum()) / (2 * part.loss.mean_weight), rel=1e-5)
