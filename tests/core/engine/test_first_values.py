"""Which numbers an init fills: every weight and bias, PyTorch's own ranges with `torch`, each gate by itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from core.engine.first_values import initialise, weights_of
from core.engine.seeds import generator
from core.spec import inits

MODULES: dict[str, Any] = {
    "linear": lambda: nn.Linear(5, 7),
    "conv1d": lambda: nn.Conv1d(4, 6, 3, groups=2),
    "conv2d": lambda: nn.Conv2d(3, 8, 3),
    "transposed": lambda: nn.ConvTranspose2d(6, 4, 3),
    "rnn": lambda: nn.RNN(3, 4, num_layers=2),
    "lstm": lambda: nn.LSTM(3, 4, bidirectional=True),
    "gru": lambda: nn.GRU(3, 4),
    "attention": lambda: nn.MultiheadAttention(8, 2),
    "encoder": lambda: nn.TransformerEncoderLayer(8, 2, 16),
}


def filled(name: str, init: inits.Init, bias_init: inits.Init | None = None) -> nn.Module:
    module: nn.Module = MODULES[name]()
    with torch.no_grad():
        initialise(module, init, bias_init, generator(3, "init"))
    return module


def learnt(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p for name, p in module.named_parameters() if "norm" not in name}


@pytest.mark.parametrize("name", MODULES)
def test_every_number_is_filled(name: str) -> None:
    module = filled(name, inits.Constant(value=2.5), inits.Constant(value=-1.5))
    for parameter, values in learnt(module).items():
        assert values.eq(-1.5 if "bias" in parameter else 2.5).all(), parameter


@pytest.mark.parametrize("name", MODULES)
def test_with_torch_values_reach_as_far_as_pytorchs_own(name: str) -> None:
    """The greatest of many values of PyTorch's own reset and of ours."""
    torch.manual_seed(0)
    module = MODULES[name]()
    ours, theirs = {}, {}
    for seed in range(60):
        twin = MODULES[name]()
        with torch.no_grad():
            initialise(module, inits.Torch(), inits.Torch(), generator(seed, "init"))
        for parameter, values in learnt(module).items():
            ours[parameter] = max(ours.get(parameter, 0.0), float(values.detach().abs().max()))
            other = twin.get_parameter(parameter).detach().abs().max()
            theirs[parameter] = max(theirs.get(parameter, 0.0), float(other))
    assert ours == pytest.approx(theirs, rel=0.1)


def test_gates_are_orthogonal_one_by_one() -> None:
    module = filled("lstm", inits.Orthogonal())
    assert isinstance(module, nn.LSTM)
    for gate in module.weight_hh_l0.detach().chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(4))


def test_a_transposed_kernel_counts_its_inputs() -> None:
    module = nn.ConvTranspose2d(400, 30, 3)
    with torch.no_grad():
        initialise(module, inits.He(), None, generator(1, "init"))
    assert float(module.weight.detach().std()) == pytest.approx(math.sqrt(2 / (400 * 9)), rel=0.02)


def test_values_are_a_function_of_the_stream() -> None:
    one, two = (torch.cat([p.flatten() for p in filled("encoder", inits.Torch()).parameters()]) for _ in range(2))
    assert torch.equal(one, two)
    assert sum(1 for _ in weights_of(MODULES["encoder"]())) == 3 + 1 + 2
