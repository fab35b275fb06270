"""First values through many layers: against float64 NumPy, and against what theory says of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from core.engine.lab import experiment
from core.engine.lab.first_values import rows, stack
from core.spec.lab import InitLab
from core.spec.lab_request import read_experiment


def lab(*combinations: Any, **fields: Any) -> dict[str, Any]:
    return experiment("init", {"combinations": list(combinations), **fields}, None)


def combined(activation: Any, init: Any) -> dict[str, Any]:
    return {"activation": activation, "init": init}


FUNCTIONS = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z, a: a * (1 - a)),
    "tanh": (np.tanh, lambda z, a: 1 - a * a),
    "relu": (lambda z: np.maximum(z, 0), lambda z, a: (z > 0).astype(np.float64)),
}


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_every_figure_against_numpy(activation: str) -> None:
    body = {"combinations": [combined(activation, "xavier")], "depth": 12, "width": 24, "batch": 40, "scale": 2.0}
    request = read_experiment("init", body)
    assert isinstance(request, InitLab)
    found = experiment("init", body, None)["combinations"][0]
    x, back = (tensor.numpy() for tensor in rows(request))
    weights = [linear.weight.detach().numpy() for linear, _ in stack(request, request.combinations[0])]
    function, slope = FUNCTIONS[activation]
    inputs, before, after = [x], [], []
    for w in weights:
        before.append(inputs[-1] @ w.T)
        after.append(function(before[-1]))
        inputs.append(after[-1])
    gradients, of_weights = [back], []
    for w, z, a, given in zip(weights[::-1], before[::-1], after[::-1], inputs[-2::-1], strict=True):
        delta = gradients[-1] * slope(z, a)
        of_weights.append(np.linalg.norm(delta.T @ given))
        gradients.append(delta @ w)
    norms = [np.linalg.norm(g) for g in gradients[-2::-1]]
    greatest = 0.25 if activation == "sigmoid" else 1.0
    slopes = [slope(z, a) / greatest for z, a in zip(before, after, strict=True)]
    expected = {
        "activation_mean": [a.mean() for a in after],
        "activation_std": [a.std() for a in after],
        "gradient_norm": norms,
        "gradient_ratio": [norm / norms[-1] for norm in norms],
        "weight_gradient_norm": of_weights[::-1],
        "saturated": [(s < 0.1).mean() for s in slopes],
        "dead": [(s == 0).all(0).mean() for s in slopes],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-9, atol=1e-12, err_msg=name)


def test_he_keeps_what_xavier_loses_and_zeros_kill_through_fifty_relu_layers() -> None:
    found = lab(combined("relu", "he"), combined("relu", "xavier"), combined("relu", "zeros"), width=256)
    he, xavier, zeros = found["combinations"]
    rms = [np.hypot(each["activation_mean"], each["activation_std"]) for each in (he, xavier)]
    assert 0.2 < rms[0][-1] / rms[0][0] < 5
    # half of the variance is lost in each layer: 2^(-49/2)
    assert np.log2(rms[1][-1] / rms[1][0]) == pytest.approx(-24.5, abs=4)
    assert 0.1 < he["gradient_ratio"][0] < 10
    assert xavier["gradient_ratio"][0] < 1e-5
    assert zeros["activation_std"] == [0.0] * 50
    assert zeros["gradient_norm"][:-1] == [0.0] * 49
    assert zeros["dead"] == [1.0] * 50


@pytest.mark.parametrize("depth", [2, 5, 10, 20])
def test_sigmoid_gradients_stay_under_a_quarter_to_the_nth(depth: int) -> None:
    found = lab(combined("sigmoid", "xavier"), depth=depth, width=128)
    ratios, bound = np.array(found["combinations"][0]["gradient_ratio"]), np.array(found["sigmoid_bound"])
    assert bound[0] == 0.25 ** (depth - 1)
    assert bound[-1] == 1
    assert (ratios[:-1] < bound[:-1]).all()
    assert ratios[0] > 1e-3 * bound[0], "a bound that means something"
    assert lab(combined("relu", "he"), depth=2)["sigmoid_bound"] is None


def test_tanh_with_large_weights_saturates() -> None:
    calm, wild = lab(combined("tanh", "xavier"), combined("tanh", {"type": "normal", "std": 1.0}), depth=5)[
        "combinations"
    ]
    assert max(calm["saturated"]) < 0.2
    assert min(wild["saturated"]) > 0.7


def test_a_linear_stack_that_explodes_beyond_numbers_is_told_by_name() -> None:
    found = lab(combined(None, {"type": "normal", "std": 1e6}), depth=100, width=32)
    assert found["non_finite"] == ["linear, normal std 1e+06"]
    assert None in found["combinations"][0]["activation_std"]
    json.dumps(found, allow_nan=False)


def test_orthogonal_keeps_lengths_exactly_without_activation() -> None:
    (run,) = lab(combined(None, "orthogonal"), depth=30, width=64)["combinations"]
    np.testing.assert_allclose(run["gradient_ratio"], 1, rtol=1e-9)


def test_names_say_what_is_unusual() -> None:
    found = lab(combined({"type": "leaky_relu", "negative_slope": 0.2}, {"type": "he", "mode": "fan_out"}), depth=1)
    assert found["combinations"][0]["name"] == "leaky_relu negative_slope 0.2, he fan_out"
