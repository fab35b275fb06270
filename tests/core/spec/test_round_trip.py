"""A spec survives JSON; a resolved spec, checked again, is itself."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import Invalid
from core.spec.job import JobSpec
from core.spec.layers import LAYERS
from core.spec.losses import AutoLoss, Loss
from core.spec.network import FAMILIES
from core.spec.optimizers import Optimizer
from core.spec.plan import Plan
from core.spec.schedules import Schedule
from core.spec.shapes import PlannedLayer
from tests.core.spec.sets import PEOPLE, job, plan
from tests.core.spec.strategies import documents_of, jobs, values_of


@settings(max_examples=60, deadline=None)
@given(jobs())
def test_a_spec_survives_json(body: dict[str, Any]) -> None:
    spec = JobSpec.model_validate(body)
    text = spec.model_dump_json()
    assert JobSpec.model_validate(json.loads(text)) == spec
    assert JobSpec.model_validate_json(text) == spec


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(FAMILIES)).flatmap(lambda name: documents_of(FAMILIES[name])),
    st.just({"type": "auto"}) | documents_of(AutoLoss) | values_of(Loss),
    values_of(Optimizer),
    st.just({"type": "one_cycle"}) | values_of(Schedule),
    st.sampled_from(
        [
            {"dataset": "digits"},
            {"dataset": "people", "target": "bought", "weight": "weight"},
            {"dataset": "people", "target": ["income", "age"], "derive": {"bmi": "height ** 2"}},
            {"dataset": "people", "split": {"column": "part"}},
            {"dataset": "images"},
            {"dataset": "targets"},
            {"dataset": "only_x"},
        ]
    ),
)
def test_a_resolved_spec_is_a_fixed_point(
    network: dict[str, Any],
    loss: dict[str, Any],
    optimizer: dict[str, Any],
    schedule: dict[str, Any],
    data: dict[str, Any],
) -> None:
    body = {"data": data, "network": network, "loss": loss, "optimizer": optimizer, "schedule": schedule}
    first = _plan_if_sound(body)
    if first is None:
        return
    document = json.loads(first.spec.model_dump_json())
    second = plan(document)
    assert second.spec == first.spec
    # the same layers; what was a family has become its expansion
    assert second.layers == tuple(map(_written_out, first.layers))
    assert second.parameters == first.parameters
    json.dumps(first.to_json(), allow_nan=False)


def _written_out(layer: PlannedLayer) -> PlannedLayer:
    """The layer, and those within it, as they come from the resolved spec."""
    return replace(layer, origin=layer.path, children=tuple(map(_written_out, layer.children)))


def _plan_if_sound(body: dict[str, Any]) -> Plan | None:
    """Random parts need not go together: then there are faults, and nothing to resolve."""
    try:
        return plan(body)
    except Invalid:
        return None


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["data", "network", "layers", "type", "dataset", "loss", "units", "family", "hidden", "x"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_whatever_is_sent_gives_a_plan_or_faults_with_pointers(body: object) -> None:
    with pytest.raises(Invalid) as caught:
        plan(body)
    assert caught.value.errors
    for error in caught.value.errors:
        assert error.pointer == "" or error.pointer.startswith("/")
        assert "received" in error.detail, error
        json.dumps(error.detail, allow_nan=False)
        assert "Infinity" not in error.detail
        assert "NaN" not in error.detail


@pytest.mark.parametrize("value", [True, "3", 3.5, None, [3], float("nan")])
def test_numbers_are_not_coerced(value: object) -> None:
    with pytest.raises(ValidationError):
        LAYERS["linear"].model_validate({"type": "linear", "units": value})


def test_specs_are_frozen() -> None:
    spec = JobSpec.model_validate(job())
    with pytest.raises(ValidationError):
        spec.name = "other"  # type: ignore[misc]


def test_every_field_says_what_it_means() -> None:
    seen: set[str] = set()

    def check(schema: dict[str, Any], where: str) -> None:
        for name, field in schema.get("properties", {}).items():
            seen.add(f"{where}.{name}")
            assert name == "type" or field.get("description"), f"{where}.{name} has no description"

    whole = JobSpec.model_json_schema()
    check(whole, "JobSpec")
    for name, definition in whole["$defs"].items():
        check(definition, name)
    assert len(seen) > 100


def test_columns_of_a_schema_are_found_by_name() -> None:
    assert PEOPLE.column("city") is not None
    assert PEOPLE.column("nobody") is None
    assert PEOPLE.array("x") is None
    assert type(PEOPLE).model_validate_json(PEOPLE.model_dump_json()) == PEOPLE
