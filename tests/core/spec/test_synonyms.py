"""Names of other libraries are taken for ours, and errors speak of what the user wrote."""

from __future__ import annotations

from typing import Any

import pytest

from core.spec.catalog import catalog
from core.spec.layers import LAYERS
from tests.core.spec.sets import fault_details, faults, job, plan


def test_a_synonym_is_the_same_layer() -> None:
    ours, theirs = ({"type": "linear", name: 7} for name in ("units", "out_features"))
    assert plan(job("digits", theirs)).spec == plan(job("digits", ours)).spec


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"type": "dropout", "rate": 0.2}, {"type": "dropout", "p": 0.2}),
        ({"type": "leaky_relu", "alpha": 0.3}, {"type": "leaky_relu", "negative_slope": 0.3}),
    ],
)
def test_kerass_names_are_the_same_layer(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    assert plan(job("digits", theirs)).spec == plan(job("digits", ours)).spec


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "linear", "in_features": 64, "out_features": 7},
        {"type": "batch_norm", "num_features": 64},
        {"type": "layer_norm", "normalized_shape": 64},
        {"type": "residual", "layers": [{"type": "linear", "units": 64, "in_features": 64}]},
        {"type": "conv1d", "in_channels": 1, "out_channels": 2, "kernel_size": 3},
    ],
)
def test_sizes_of_inputs_are_not_told(layer: dict[str, Any]) -> None:
    fault, *others = fault_details(job("digits", layer)).values()
    assert fault.code == "unknown_field"
    assert fault.detail.endswith("do remove it: sizes of inputs follow from what reaches the layer")
    assert not others


def test_both_names_together_are_a_fault_and_the_rest_is_read_on() -> None:
    body = job("digits", {"type": "linear", "units": 7, "out_features": 7}, metrics=["aucc"])
    assert faults(body) == {"/network/layers/0/out_features": "two_names", "/metrics/0": "unknown_value"}


@pytest.mark.parametrize("value", [0, "many", 2.5])
def test_a_fault_is_named_as_it_was_written(value: object) -> None:
    body = job("digits", {"type": "linear", "out_features": value}, {"type": "dropout", "p": 2})
    assert set(faults(body)) == {"/network/layers/0/out_features", "/network/layers/1/p"}


def test_the_catalog_lists_them() -> None:
    linear = next(entry for entry in catalog()["layers"] if entry["type"] == "linear")
    assert {each["name"]: each["synonyms"] for each in linear["parameters"]}["units"] == ["out_features"]


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_synonyms_lead_to_fields_and_hide_none(name: str) -> None:
    model = LAYERS[name]
    assert set(model.synonyms.values()) <= set(model.model_fields)
    assert not set(model.synonyms) & set(model.model_fields)
