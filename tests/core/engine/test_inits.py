"""First values: PyTorch's own functions draw the same numbers, and the moments are those of the formulas."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from core.engine.inits import fill_bias, fill_weight
from core.engine.network import build_network
from core.spec import inits
from core.spec.activations import ReLU
from core.spec.layer_types.basic import Linear
from core.spec.network import LayeredNetwork

N_IN, N_OUT = 400, 300


def drawn(init: Any) -> Tensor:
    weight = torch.empty(N_OUT, N_IN, dtype=torch.float64)
    fill_weight(weight, init, torch.Generator().manual_seed(5))
    return weight


VARIANCES = [
    (inits.Xavier(), 1 / N_IN),
    (inits.Xavier(mode="fan_out", gain=2.0), 4 / N_OUT),
    (inits.Xavier(mode="fan_avg", distribution="uniform"), 2 / (N_IN + N_OUT)),
    (inits.He(), 2 / N_IN),
    (inits.He(mode="fan_avg", distribution="uniform"), 4 / (N_IN + N_OUT)),
    (inits.Lecun(), 1 / N_IN),
    (inits.Torch(), 1 / (3 * N_IN)),
    (inits.Normal(std=0.3), 0.09),
    (inits.Uniform(low=-0.2, high=0.4), 0.03),
    (inits.Orthogonal(gain=2.0), 4 / N_IN),
]


@pytest.mark.parametrize(("init", "variance"), VARIANCES, ids=lambda value: getattr(value, "type", None))
def test_the_variance_is_the_formulas(init: Any, variance: float) -> None:
    values = drawn(init)
    # 120,000 draws: five deviations of the estimate
    assert float(values.var()) == pytest.approx(variance, rel=5 * math.sqrt(2 / values.numel()))
    mean = 0.1 if init.type == "uniform" else 0.0
    assert float(values.mean()) == pytest.approx(mean, abs=5 * math.sqrt(variance / values.numel()))


def test_the_numbers_are_those_of_pytorchs_functions() -> None:
    def theirs(fill: Any, **options: Any) -> Tensor:
        weight = torch.empty(N_OUT, N_IN, dtype=torch.float64)
        fill(weight, generator=torch.Generator().manual_seed(5), **options)
        return weight

    kaiming = {"mode": "fan_in", "nonlinearity": "relu"}
    torch.testing.assert_close(drawn(inits.He()), theirs(nn.init.kaiming_normal_, **kaiming))
    torch.testing.assert_close(drawn(inits.He(distribution="uniform")), theirs(nn.init.kaiming_uniform_, **kaiming))
    glorot = inits.Xavier(mode="fan_avg")
    torch.testing.assert_close(drawn(glorot), theirs(nn.init.xavier_normal_))
    torch.testing.assert_close(drawn(inits.Torch()), theirs(nn.init.kaiming_uniform_, a=math.sqrt(5)))


def test_an_orthogonal_matrix_is_orthogonal() -> None:
    q = drawn(inits.Orthogonal())
    torch.testing.assert_close(q @ q.T, torch.eye(N_OUT, dtype=torch.float64))


def test_constants_are_constant() -> None:
    assert drawn(inits.Zeros()).eq(0).all()
    assert drawn(inits.Constant(value=0.7)).eq(0.7).all()


def test_every_init_of_the_spec_fills_weights_and_biases() -> None:
    for model in get_args(get_args(inits.Init)[0]):
        weight, bias = torch.full((5, 3), math.nan), torch.full((5,), math.nan)
        fill_weight(weight, model(), torch.Generator())
        fill_bias(bias, weight, model(), torch.Generator())
        assert torch.isfinite(torch.cat([weight.reshape(-1), bias])).all(), model


def network(*layers: Any, **options: Any) -> dict[str, Tensor]:
    built = build_network(LayeredNetwork(layers=layers, **options), (4,), seed=1, precision="float32")
    return dict(built.named_parameters())


def test_a_layer_draws_from_a_stream_of_its_own() -> None:
    short = network(Linear(units=8))
    long = network(Linear(units=8), ReLU(), Linear(units=3))
    assert torch.equal(short["0.weight"], long["0.weight"])


def test_biases_are_zero_unless_asked_or_pytorchs_own() -> None:
    assert network(Linear(units=8, init=inits.He()))["0.bias"].eq(0).all()
    assert network(Linear(units=8))["0.bias"].ne(0).all()
    assert network(Linear(units=8, bias_init=inits.Constant(value=2.0)))["0.bias"].eq(2).all()


def test_a_layers_own_init_goes_before_the_networks() -> None:
    values = network(Linear(units=8, init=inits.Zeros()), Linear(units=8), init=inits.Constant(value=1.0))
    assert values["0.weight"].eq(0).all()
    assert values["1.weight"].eq(1).all()
