"""What depth does to gradients and activations: the bound of a sigmoid stack, and what the first weights decide."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.engine.network import build_network
from core.spec.network import LayeredNetwork

WIDTH = 64


def stack(depth: int, activation: str, init: dict[str, Any], seed: int = 0) -> nn.Sequential:
    layers = [{"type": "linear", "units": WIDTH}, {"type": activation}] * depth
    spec = LayeredNetwork.model_validate({"layers": layers, "init": init})
    return build_network(spec, (WIDTH,), seed=seed, precision="float64")


def signals(network: nn.Sequential, rows: int = 256) -> list[Tensor]:
    """The input and what each activation gives, with the gradients of a random projection of the last."""
    torch.manual_seed(1)
    x = torch.randn(rows, WIDTH, dtype=torch.float64, requires_grad=True)
    values = [x]
    for linear, activation in zip(network[::2], network[1::2], strict=True):
        after = activation(linear(values[-1]))
        after.retain_grad()
        values.append(after)
    (values[-1] * torch.randn(rows, WIDTH, dtype=torch.float64)).sum().backward()
    return values


def gradient_ratio(values: list[Tensor]) -> float:
    """|dL/d input| over |dL/d output|."""
    first, last = values[0].grad, values[-1].grad
    assert first is not None
    assert last is not None
    return float(first.norm() / last.norm())


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 12])
def test_a_sigmoid_stacks_gradient_falls_below_a_quarter_to_the_depth(depth: int) -> None:
    # an orthogonal W keeps lengths, so that all that is lost is lost in the sigmoids
    values = signals(stack(depth, "sigmoid", {"type": "orthogonal"}))
    assert 0 < gradient_ratio(values) <= 0.25**depth


def test_the_bound_holds_on_average_for_xaviers_weights_too() -> None:
    for depth in (2, 6, 12):
        ratios = [gradient_ratio(signals(stack(depth, "sigmoid", {"type": "xavier"}, seed))) for seed in range(5)]
        assert sum(ratios) / len(ratios) < 0.25**depth


def test_a_tanh_or_relu_stack_keeps_what_a_sigmoid_stack_loses() -> None:
    sigmoid = gradient_ratio(signals(stack(12, "sigmoid", {"type": "xavier"})))
    tanh = gradient_ratio(signals(stack(12, "tanh", {"type": "xavier"})))
    relu = gradient_ratio(signals(stack(12, "relu", {"type": "he"})))
    assert tanh > 1e4 * sigmoid
    assert relu > 1e4 * sigmoid


def test_he_keeps_the_scale_through_fifty_relu_layers_where_xavier_loses_it_and_zeros_have_none() -> None:
    def last_over_first(init: dict[str, Any]) -> float:
        values = signals(stack(50, "relu", init))
        return float(values[-1].detach().square().mean() / values[0].detach().square().mean())

    he, xavier = last_over_first({"type": "he"}), last_over_first({"type": "xavier"})
    assert 0.05 < he < 20
    # half of the variance is lost in every layer: 2^-50 is 9e-16
    assert xavier == pytest.approx(he * 2.0**-50, rel=1e-6)
    assert last_over_first({"type": "zeros"}) == 0


def test_weights_too_large_explode_and_too_small_vanish() -> None:
    large = gradient_ratio(signals(stack(20, "relu", {"type": "he", "gain": 2.0})))
    small = gradient_ratio(signals(stack(20, "relu", {"type": "he", "gain": 0.5})))
    right = gradient_ratio(signals(stack(20, "relu", {"type": "he"})))
    assert large == pytest.approx(right * 2.0**20, rel=1e-6)
    assert small == pytest.approx(right * 0.5**20, rel=1e-6)
