"""The lecture's formulas one by one, each against float64 NumPy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from core.engine.network import build_network
from core.events import Checkpoint
from core.spec.network import LayeredNetwork
from tests.core.engine.workbench import Bench, last
from tests.lecture.reference import Floats, sigmoid


def network(*layers: dict[str, Any], inputs: int = 4, **more: Any) -> nn.Sequential:
    spec = LayeredNetwork.model_validate({"layers": list(layers), **more})
    return build_network(spec, (inputs,), seed=0, precision="float64")


def through(layer: dict[str, Any], z: Floats) -> Floats:
    result: Tensor = network(layer, inputs=z.shape[-1])(torch.from_numpy(z))
    return result.detach().numpy()


ERF = np.vectorize(math.erf)
ACTIVATIONS = {
    "sigmoid": ({"type": "sigmoid"}, sigmoid),
    "tanh": ({"type": "tanh"}, lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))),
    "relu": ({"type": "relu"}, lambda z: np.maximum(0, z)),
    "leaky_relu": ({"type": "leaky_relu", "negative_slope": 0.1}, lambda z: np.maximum(0.1 * z, z)),
    "elu": ({"type": "elu", "alpha": 0.7}, lambda z: np.where(z > 0, z, 0.7 * (np.exp(z) - 1))),
    "gelu": ({"type": "gelu"}, lambda z: z * (1 + ERF(z / math.sqrt(2))) / 2),
    "softplus": ({"type": "softplus"}, lambda z: np.log(1 + np.exp(z))),
    "swish": ({"type": "swish", "beta": 1.5}, lambda z: z * sigmoid(1.5 * z)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    layer, formula = ACTIVATIONS[name]
    z = np.linspace(-5, 5, 41)[None]
    np.testing.assert_allclose(through(layer, z), formula(z), rtol=1e-10, atol=1e-12)


def test_the_sigmoids_derivative_is_s_times_1_minus_s_and_a_quarter_at_most() -> None:
    z = torch.linspace(-6, 6, 201, dtype=torch.float64)[None].requires_grad_()
    network({"type": "sigmoid"}, inputs=201)(z).sum().backward()
    assert z.grad is not None
    s = sigmoid(z.detach().numpy())
    np.testing.assert_allclose(z.grad.numpy(), s * (1 - s), rtol=1e-12)
    assert z.grad.max() == 0.25


def test_a_learnt_swish_begins_at_beta_and_moves(bench: Bench) -> None:
    swish = {"type": "swish", "beta": 1.5, "learnable": True}
    body = {"data": {"dataset": "moons"}, "network": {"layers": [{"type": "linear", "units": 4}, swish]}}
    run = {**body, "training": {"epochs": 1}, "optimizer": {"type": "adam", "lr": 1e-12}}
    began = load_file(last(bench.events(run), Checkpoint).content_path)["1.beta"]
    ended = load_file(last(bench.events({**run, "optimizer": {"lr": 0.01}}), Checkpoint).content_path)["1.beta"]
    assert float(began) == pytest.approx(1.5)
    assert abs(float(ended) - 1.5) > 0.01


@pytest.mark.parametrize(("init", "factor"), [("xavier", 1.0), ("he", 2.0)])
def test_first_weights_have_the_deviation_of_the_formula(init: str, factor: float) -> None:
    weight = network({"type": "linear", "units": 900}, inputs=400, init={"type": init})[0].weight.detach()
    assert float(weight.std()) == pytest.approx(math.sqrt(factor / 400), rel=0.01)
    assert float(weight.mean()) == pytest.approx(0, abs=1e-3)


def test_xaviers_own_fan_is_the_mean_of_both_sides() -> None:
    init = {"type": "xavier", "mode": "fan_avg"}
    weight = network({"type": "linear", "units": 900}, inputs=300, init=init)[0].weight.detach()
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / (900 + 300)), rel=0.01)


def test_dropouts_mean_in_training_is_its_value_in_evaluation() -> None:
    torch.manual_seed(0)
    dropout = network({"type": "dropout", "p": 0.3}, inputs=1000)
    x = torch.full((400, 1000), 2.0, dtype=torch.float64)
    trained = dropout.train()(x)
    assert float((trained == 0).double().mean()) == pytest.approx(0.3, abs=0.003)
    assert float(trained.mean()) == pytest.approx(2.0, abs=0.01)
    assert set(trained.unique().tolist()) == {0.0, 2.0 / 0.7}
    assert torch.equal(dropout.eval()(x), x)


def test_batch_norm_is_its_formula_and_keeps_running_means(random: np.random.Generator) -> None:
    layer = network({"type": "batch_norm", "eps": 1e-3, "momentum": 0.2}, inputs=3)
    norm = layer[0]
    gamma, beta = np.array([1.0, 2.0, -1.0]), np.array([0.5, 0.0, 3.0])
    with torch.no_grad():
        norm.weight.copy_(torch.from_numpy(gamma))
        norm.bias.copy_(torch.from_numpy(beta))
    mean, variance = np.zeros(3), np.ones(3)
    for _ in range(5):
        x = random.normal(2, 3, (50, 3))
        expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3) * gamma + beta
        np.testing.assert_allclose(layer.train()(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-9, atol=1e-9)
        mean = 0.8 * mean + 0.2 * x.mean(0)
        variance = 0.8 * variance + 0.2 * x.var(0, ddof=1)
    np.testing.assert_allclose(norm.running_mean.numpy(), mean, rtol=1e-10)
    np.testing.assert_allclose(norm.running_var.numpy(), variance, rtol=1e-10)
    expected = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(layer.eval()(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.03), (0.02, 0.0), (0.02, 0.03)])
def test_penalties_are_added_to_the_loss_and_to_its_gradient(bench: Bench, l1: float, l2: float) -> None:
    """One step of gradient descent on Q = L + l2 sum w^2 + l1 sum |w| against one on L alone; biases are left out."""
    eta = 0.1

    def after_one_step(regularization: dict[str, float], lr: float = eta) -> dict[str, Floats]:
        body = {
            "data": {"dataset": "moons", "parameters": {"rows": 40}},
            "network": {"layers": [{"type": "linear", "units": 3}, {"type": "tanh"}]},
            "optimizer": {"type": "sgd", "lr": lr},
            "regularization": regularization,
            "training": {"epochs": 1, "batch_size": "full", "precision": "float64"},
        }
        return load_file(Path(last(bench.events(body), Checkpoint).content_path))

    before = after_one_step({}, lr=1e-300)
    plain, penalised = after_one_step({}), after_one_step({"l1": l1, "l2": l2})
    for name, w in before.items():
        pull = eta * (2 * l2 * w + l1 * np.sign(w)) if name.endswith("weight") else 0.0
        np.testing.assert_allclose(penalised[name], plain[name] - pull, rtol=1e-10, atol=1e-13)
