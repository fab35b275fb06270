"""Random lists of layers, blocks among them: a plan that is a fixed point and builds, or faults with pointers."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.engine.network import build_network
from core.errors import Invalid
from core.spec.layers import LAYERS
from core.spec.plan import Plan
from tests.core.spec.sets import job, plan
from tests.core.spec.strategies import documents_of

_FROM_ZERO = ("axes", "indices", "padding", "output_padding")
_LARGE = 10**12


def smaller(value: Any, key: str = "") -> Any:
    """The same document with numbers that layers can be built of."""
    if isinstance(value, dict):
        return {name: smaller(each, name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [smaller(each, key) for each in value]
    if type(value) is int:
        return value % 3 if key in _FROM_ZERO else value % 4 + 1
    return value


def layer_lists() -> st.SearchStrategy[list[dict[str, Any]]]:
    one = st.sampled_from(sorted(LAYERS)).flatmap(lambda name: documents_of(LAYERS[name]).map(smaller))
    return st.lists(one, max_size=4)


def at(document: Any, pointer: str) -> bool:
    """Whether a pointer leads to something in the document, its last step perhaps to what is missing."""
    for part in pointer.split("/")[1:-1]:
        if isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        elif isinstance(document, dict) and part in document:
            document = document[part]
        else:
            return False
    return True


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(layer_lists(), st.sampled_from(["images", "only_x", "targets"]), st.sampled_from(["none", "standard"]))
def test_a_plan_is_a_fixed_point_that_builds_or_faults_point_into_the_list(
    layers: list[dict[str, Any]], dataset: str, scale: str
) -> None:
    body = job(dataset, *layers, data={"preprocess": {"scale": scale}}, training={"batch_size": 8})
    try:
        planned = plan(body)
    except Invalid as error:
        for each in error.errors:
            assert at(body, each.pointer) or not each.pointer.startswith("/network"), each
            assert "received" in each.detail
            assert "; do " in each.detail
        return
    check_plan(planned)


def check_plan(planned: Plan) -> None:
    document = json.loads(planned.spec.model_dump_json())
    again = plan(document)
    assert again.spec == planned.spec
    assert [row.parameters for row in again.layers] == [row.parameters for row in planned.layers]
    json.dumps(planned.to_json(), allow_nan=False)
    network = build_network(planned.spec.layered(), planned.input_shape, seed=0, precision="float32").eval()
    assert sum(p.numel() for p in network.parameters()) == planned.parameters
    assert network.flops == planned.flops_per_sample
    value = torch.ones(2, *planned.input_shape)
    for row, module in zip(planned.layers, network, strict=True):
        value = module(value)
        assert tuple(value.shape[1:]) == row.output_shape, row


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "upsample", "scale": _LARGE},
        {"type": "conv2d", "channels": 3, "kernel_size": 1, "padding": 10**6},
        {"type": "conv_transpose2d", "channels": 3, "kernel_size": _LARGE, "stride": _LARGE},
        {"type": "adaptive_avg_pool2d", "output_size": _LARGE},
        {"type": "parallel", "branches": [[{"type": "upsample", "scale": _LARGE}]] * 3},
    ],
    ids=lambda layer: layer["type"],
)
def test_sizes_without_measure_are_faults_with_figures_of_few_digits(layer: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        plan(job("images", *[layer] * 300))
    assert caught.value.errors
    assert all(len(each.detail) < 500 for each in caught.value.errors)
