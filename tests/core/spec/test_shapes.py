"""Inferred shapes and parameter counts are those of the same network in PyTorch."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from core.spec.activations import ActivationLayer, ActivationName
from core.spec.layer_base import LayerBase, ShapeError
from core.spec.layers import LAYERS
from core.spec.network import network_tag
from tests.core.spec.sets import fault_details, faults, job, plan
from tests.core.spec.strategies import documents_of

# the others take shapes of their own: tests/core/engine/test_layers.py
_ANY_SHAPE = ("linear", "flatten", "dropout", "batch_norm", "layer_norm", *get_args(ActivationName))


class _Swap(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2)


class _Swish(nn.Module):
    def __init__(self, beta: float, learnable: bool) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(beta), requires_grad=learnable) if learnable else beta

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z * torch.sigmoid(self.beta * z)


def torch_layer(layer: Any, shape: tuple[int, ...]) -> nn.Module:
    """The layer in PyTorch, built here by itself: the reference for the spec's arithmetic."""
    match layer.type:
        case "linear":
            return nn.Linear(shape[-1], layer.units, bias=layer.bias)
        case "flatten":
            return nn.Flatten()
        case "unflatten":
            return nn.Sequential(nn.Flatten(), nn.Unflatten(1, layer.shape))
        case "dropout":
            return nn.Dropout(layer.p)
        case "batch_norm":
            kind = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d}[len(shape)]
            if len(shape) == 2:  # (time, features)
                return nn.Sequential(_Swap(), kind(shape[1], eps=layer.eps, affine=layer.affine), _Swap())
            return kind(shape[0], eps=layer.eps, momentum=layer.momentum, affine=layer.affine)
        case "layer_norm":
            return nn.LayerNorm(shape[-1], eps=layer.eps, elementwise_affine=layer.affine)
        case "prelu":
            slopes = 1 if not layer.per_channel else shape[-1] if len(shape) == 2 else shape[0]
            return nn.Sequential(_Swap(), nn.PReLU(slopes), _Swap()) if len(shape) == 2 else nn.PReLU(slopes)
        case "swish":
            return _Swish(layer.beta, layer.learnable)
    return nn.Tanh()  # noise, regularisers and every other activation: keeps the shape, has no parameters


def layers() -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(_ANY_SHAPE)
    return names.flatmap(
        lambda name: documents_of(LAYERS[name]).map(
            lambda body: {**body, "units": body["units"] % 12 + 1} if "units" in body else body
        )
    )


@settings(max_examples=80, deadline=None)
@given(st.lists(layers(), max_size=8), st.sampled_from(["digits", "targets", "images", "only_x"]))
def test_sizes_of_random_networks_are_those_of_torch(stack: list[dict[str, Any]], dataset: str) -> None:
    body = job(dataset, {"type": "flatten"}, *stack) if dataset != "targets" else job(dataset, *stack)
    body["training"] = {"batch_size": 7}
    planned = plan(body)
    spec_layers = (*planned.spec.layered().layers, *(planned.spec.layered().head or ()))
    shape, value = planned.input_shape, torch.zeros(2, *planned.input_shape)
    for layer, sizes in zip(spec_layers, planned.layers, strict=True):
        module = torch_layer(layer, shape)
        value = module(value)
        assert tuple(value.shape[1:]) == sizes.output_shape, layer
        assert sum(p.numel() for p in module.parameters()) == sizes.parameters, layer
        shape = sizes.output_shape
    assert planned.output_shape == shape
    assert planned.parameters == sum(sizes.parameters for sizes in planned.layers)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 4, 4)])
@pytest.mark.parametrize("name", sorted((*_ANY_SHAPE, "unflatten")))
def test_each_layer_on_each_rank(name: str, shape: tuple[int, ...]) -> None:
    required = {"linear": {"units": 3}, "unflatten": {"shape": [math.prod(shape), 1]}}.get(name, {})
    layer = LAYERS[name].model_validate({"type": name, **required})
    if name == "linear" and len(shape) > 1:
        with pytest.raises(ShapeError, match="flatten"):
            layer.output_shape(shape)
        return
    module = torch_layer(layer, shape)
    assert tuple(module(torch.zeros(2, *shape)).shape[1:]) == layer.output_shape(shape)
    assert sum(p.numel() for p in module.parameters()) == layer.parameter_count(shape)


def test_flops_of_a_linear_layer() -> None:
    layer: LayerBase = LAYERS["linear"].model_validate({"type": "linear", "units": 10})
    assert layer.flops((64,)) == 64 * 10 * 2 + 10  # a multiply and an add for each weight, an add for each bias
    assert LAYERS["relu"]().flops((4, 5)) == 20


def test_a_linear_layer_on_an_image_asks_for_flatten() -> None:
    error = fault_details(job("images", {"type": "linear", "units": 4}))["/network/layers/0"]
    assert error.code == "needs_flatten"
    assert '{"type": "flatten"}' in error.detail
    assert "[3, 8, 8]" in error.detail


def test_unflatten_needs_the_same_number_of_values() -> None:
    body = job("digits", {"type": "unflatten", "shape": [1, 7, 9]})
    assert faults(body) == {"/network/layers/0/shape": "shape_mismatch"}


def test_names_of_activations_are_the_union() -> None:
    assert set(get_args(ActivationName)) == {m.model_fields["type"].default for m in get_args(ActivationLayer)}
    assert set(get_args(ActivationName)) <= set(LAYERS)


def test_a_hidden_layer_is_linear_norm_activation_dropout() -> None:
    network = {"family": "feed_forward", "hidden": [8], "batch_norm": True, "activation": "elu", "dropout": 0.2}
    planned = plan({"data": {"dataset": "images"}, "network": network})
    kinds = [layer.type for layer in planned.layers]
    assert kinds == ["flatten", "linear", "batch_norm", "elu", "dropout", "linear"]
    assert network_tag({"layers": []}) == "layers"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (job("digits"), (10,)),
        (job("people", data={"target": "bought"}), (1,)),
        (job("people", data={"target": "bought"}, loss={"type": "cross_entropy"}), (2,)),
        (job("people", data={"target": "member"}, loss={"type": "hinge"}), (1,)),
        (job("people", data={"target": "income"}), (1,)),
        (job("people", data={"target": ["income", "age"]}), (2,)),
        (job("targets"), (2,)),
        (job("only_x", {"type": "flatten"}, {"type": "linear", "units": 2}), (4, 5)),
        (job("images", task="reconstruction"), (3, 8, 8)),
    ],
)
def test_the_output_layer_follows_from_the_task(body: dict[str, Any], expected: tuple[int, ...]) -> None:
    assert plan(body).output_shape == expected


def test_a_head_of_two_logits_asks_for_cross_entropy() -> None:
    body = job("people", data={"target": "bought"})
    body["network"]["head"] = [{"type": "linear", "units": 2}]
    assert plan(body).spec.loss.type == "cross_entropy"
    body["network"]["head"] = [{"type": "linear", "units": 3}]
    assert faults(body) == {"/network/head": "wrong_output"}


def test_inits_are_written_out() -> None:
    body = job("digits", {"type": "linear", "units": 3}, {"type": "relu"})
    first, _ = plan(body).spec.layered().layers
    assert first.model_dump()["init"] == {"type": "torch"}
    assert first.model_dump()["bias_init"] == {"type": "torch"}
    body["network"]["init"] = {"type": "he"}
    layered = plan(body).spec.layered()
    for layer in (layered.layers[0], *(layered.head or ())):
        written = layer.model_dump()
        assert (written["init"]["type"], written["bias_init"]["type"]) == ("he", "zeros")
