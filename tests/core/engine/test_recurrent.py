"""Recurrent layers are PyTorch's: outputs, names, counts; first values a gate; gradients by finite differences."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.engine.network import build_network
from core.spec import inits, losses
from core.spec.layer_base import LayerBase, ShapeError
from core.spec.layer_types.basic import Unflatten
from core.spec.layers import LAYERS
from core.spec.network import LayeredNetwork
from tests.core.engine.test_network import check_gradients

KINDS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
SHAPES = list(itertools.product(KINDS, (1, 2), (False, True), ("last", "all"), (False, True)))


def spec(kind: str, **fields: Any) -> LayerBase:
    return LAYERS[kind].model_validate({"type": kind, "units": 4, **fields})


def built(layer: LayerBase, shape: tuple[int, ...] = (5, 3), **network: Any) -> nn.Module:
    layered = LayeredNetwork.model_validate({"layers": [layer.model_dump()], **network})
    return build_network(layered, shape, seed=3, precision="float64")[0]


def plain(kind: str, layers: int, bidirectional: bool, bias: bool) -> nn.RNNBase:
    module: nn.RNNBase = KINDS[kind](3, 4, layers, bias=bias, bidirectional=bidirectional, batch_first=True).double()
    return module


@pytest.mark.parametrize(("kind", "layers", "bidirectional", "output", "bias"), SHAPES)
def test_outputs_names_and_counts_are_pytorchs(
    kind: str, layers: int, bidirectional: bool, output: str, bias: bool
) -> None:
    layer = spec(kind, layers=layers, bidirectional=bidirectional, output=output, bias=bias)
    module, theirs = built(layer), plain(kind, layers, bidirectional, bias)
    theirs.load_state_dict(module.state_dict())
    x = torch.randn(7, 5, 3, dtype=torch.float64)
    outputs, _ = theirs(x)
    if output == "last":
        # what the backward pass has seen all of stands at the first step
        halves = [outputs[:, -1, :4], outputs[:, 0, 4:]]
        outputs = torch.cat(halves, 1)
    assert torch.equal(module(x), outputs)
    assert tuple(outputs.shape[1:]) == layer.output_shape((5, 3))
    assert sum(p.numel() for p in theirs.parameters()) == layer.parameter_count((5, 3))


@pytest.mark.parametrize(("kind", "layers", "bidirectional"), list(itertools.product(KINDS, (1, 2), (False, True))))
def test_operations_are_pytorchs_and_those_unit_by_unit(kind: str, layers: int, bidirectional: bool) -> None:
    layer: Any = spec(kind, layers=layers, bidirectional=bidirectional)
    with FlopCounterMode(display=False) as counter:
        plain(kind, layers, bidirectional, bias=True)(torch.zeros(1, 5, 3, dtype=torch.float64))
    beside = 5 * layer.width * layers * (2 * layer.gates + layer.pointwise)
    assert layer.flops((5, 3)) == counter.get_total_flops() + beside


def test_the_nonlinearity_of_a_plain_recurrent_layer() -> None:
    module = built(spec("rnn", nonlinearity="relu"))
    theirs = nn.RNN(3, 4, nonlinearity="relu", batch_first=True).double()
    theirs.load_state_dict(module.state_dict())
    x = torch.randn(7, 5, 3, dtype=torch.float64)
    assert torch.equal(module(x), theirs(x)[0][:, -1])


def test_dropout_acts_between_layers_in_training_alone() -> None:
    module = built(spec("gru", layers=2, dropout=0.5))
    x = torch.randn(4, 5, 3, dtype=torch.float64)
    assert not torch.equal(module(x), module(x))
    module.eval()
    assert torch.equal(module(x), module(x))


def test_state_weights_begin_orthogonal_beside_he_and_as_asked() -> None:
    whole: Any = built(spec("lstm", recurrent_init={"type": "orthogonal"}), init={"type": "he"})
    for gate in whole.weight_hh_l0.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(4, dtype=torch.float64))
    assert whole.bias_ih_l0.eq(0).all()
    constant: Any = built(spec("lstm", recurrent_init={"type": "constant", "value": 2.0}))
    assert constant.weight_hh_l0.eq(2).all()
    assert constant.weight_ih_l0.abs().max() <= 0.5  # PyTorch's own: 1/sqrt(units)
    assert inits.recurrent_default(inits.He()) == inits.Orthogonal()
    assert inits.recurrent_default(inits.Torch()) == inits.Torch()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_by_finite_differences(kind: str) -> None:
    layers = [Unflatten(shape=(3, 2)), spec(kind, layers=2, bidirectional=True, units=2)]
    check_gradients(layers, losses.CrossEntropy(), "classification", 3, torch.arange(5) % 3)


def test_names_of_other_libraries_and_shapes_that_do_not_fit() -> None:
    layer = LAYERS["lstm"].model_validate({"type": "lstm", "hidden_size": 8, "num_layers": 2})
    assert layer.model_dump()["units"] == 8
    with pytest.raises(ShapeError, match=r"data.input_shape to \[150, 1\]"):
        layer.output_shape((150,))
    with pytest.raises(ShapeError, match="unflatten"):
        layer.output_shape((1, 8, 8))
