"""Blocks: what they compute, and how names and first values reach the layers within."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.engine.network import build_network
from core.spec.layers import LAYERS
from core.spec.network import LayeredNetwork
from tests.core.engine.layer_bench import BLOCKS, Document, inputs, module_of, settled


@pytest.mark.parametrize(("document", "shape"), BLOCKS)
def test_blocks_compute_what_they_say(document: Document, shape: tuple[int, ...]) -> None:
    layer = settled(document, shape)
    block, x = module_of(layer, shape), inputs(shape)
    out: torch.Tensor = block(x)
    assert tuple(out.shape[1:]) == layer.output_shape(shape)
    assert sum(p.numel() for p in block.parameters()) == layer.parameter_count(shape)
    if document["type"] == "residual":
        whole = block.get_submodule("layers")(x) + block.get_submodule("shortcut")(x)
        expected = block.get_submodule("activation")(whole)
    else:
        outs = [branch(x) for branch in block.get_submodule("branches").children()]
        axis = 1 if len(shape) != 2 else 2
        expected = sum(outs) if layer.combine == "sum" else torch.cat(outs, axis)
    assert torch.equal(out, expected)
    with FlopCounterMode(display=False) as counter:
        block(x[:1])
    assert counter.get_total_flops() <= layer.flops(shape)


def test_names_within_blocks_are_their_paths() -> None:
    document = {"type": "parallel", "branches": [[], [{"type": "relu"}, {"type": "linear", "units": 3}]]}
    inner = {"type": "residual", "layers": [document, {"type": "linear", "units": 2}]}
    network = build_network(LayeredNetwork(layers=(settled(inner, (6,)),)), (6,), seed=0, precision="float32")
    names = [name for name, _ in network.named_parameters()]
    assert names == [f"0.{each}" for each in (
        "layers.0.branches.1.1.weight", "layers.0.branches.1.1.bias", "layers.1.weight", "layers.1.bias",
        "shortcut.weight",
    )]  # fmt: skip


def test_inits_reach_into_blocks_and_each_layer_has_its_own() -> None:
    constant = {"type": "constant", "value": 3.0}
    inner = {"type": "linear", "units": 4, "init": {"type": "constant", "value": 5.0}, "bias_init": constant}
    block = {"type": "residual", "layers": [inner, {"type": "linear", "units": 2}], "init": {"type": "zeros"}}
    layer = LAYERS["residual"].model_validate(block)
    network = LayeredNetwork(layers=(layer,), init={"type": "constant", "value": 7.0})  # type: ignore[arg-type]  # a document
    built = build_network(network, (6,), seed=0, precision="float32")
    values = {name: {float(v) for v in p.detach().flatten()} for name, p in built.named_parameters()}
    assert values == {
        "0.layers.0.weight": {5.0}, "0.layers.0.bias": {3.0}, "0.layers.1.weight": {7.0}, "0.layers.1.bias": {0.0},
        "0.shortcut.weight": {0.0},
    }  # fmt: skip
