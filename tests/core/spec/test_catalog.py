"""The surface of the spec: a committed snapshot of its JSON Schema, and a catalog that leaves nothing out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from core.spec.catalog import catalog, job_schema
from core.spec.job import JobSpec
from core.spec.layers import LAYERS
from core.spec.metrics import METRICS, Metric, always_reported, fpr_of, improves_upwards, metric_info
from tests.core.spec.sets import job, plan

SNAPSHOT = Path(__file__).with_name("job_schema.json")
SECTIONS = {
    "layers",
    "activations",
    "inits",
    "losses",
    "metrics",
    "optimizers",
    "schedules",
    "families",
    "analyses",
    "surfaces",
}


def test_the_schema_is_the_committed_one() -> None:
    """Changed on purpose? Delete the file, run this test, look at the difference and commit it."""
    text = json.dumps(job_schema(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(text, "utf-8")
        pytest.fail(f"{SNAPSHOT.name} was not there and has been written: look at it and commit it")
    assert text == SNAPSHOT.read_text("utf-8"), "the JSON Schema of the job spec has changed"


def test_the_catalog_has_every_part() -> None:
    found = catalog()
    assert set(found) == SECTIONS
    layers = {entry["type"] for entry in (*found["layers"], *found["activations"])}
    assert layers == set(LAYERS)
    assert {entry["type"] for entry in found["metrics"]} == set(METRICS) == set(get_args(Metric))
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("section", sorted(SECTIONS))
def test_every_entry_says_what_it_is(section: str) -> None:
    for entry in catalog()[section]:
        assert len(entry["summary"]) > 10, entry
        names = [parameter["name"] for parameter in entry["parameters"]]
        assert len(names) == len(set(names))
        for parameter in entry["parameters"]:
            assert set(parameter) == {"name", "type", "required", "default", "description", "range", "synonyms"}
            assert parameter["description"], (entry, parameter)


def _parameter(section: str, entry: str, name: str) -> dict[str, Any]:
    key = "family" if section == "families" else "type"
    found = next(each for each in catalog()[section] if each[key] == entry)
    return next(each for each in found["parameters"] if each["name"] == name)


def test_parameters_are_those_of_the_models() -> None:
    lr = _parameter("optimizers", "adam", "lr")
    assert (lr["type"], lr["default"], lr["range"], lr["required"]) == ("number", 0.001, "above 0", False)
    hidden = _parameter("families", "deep_feed_forward", "hidden")
    assert (hidden["type"], hidden["default"]) == ("list of integer", [64, 64, 64])
    mode = _parameter("inits", "xavier", "mode")
    assert (mode["type"], mode["range"]) == ("string", "fan_in, fan_out, fan_avg")
    assert _parameter("layers", "linear", "units")["required"]


def test_defaults_of_the_catalog_are_those_of_a_plan() -> None:
    for entry in catalog()["optimizers"]:
        written = plan(job(optimizer={"type": entry["type"]})).spec.optimizer.model_dump(mode="json")
        assert {each["name"]: each["default"] for each in entry["parameters"]} == {
            name: value for name, value in written.items() if name != "type"
        }


def test_the_schema_names_no_python() -> None:
    text = json.dumps(job_schema())
    assert "core.spec" not in text
    assert issubclass(LAYERS["linear"], BaseModel)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("top_3_accuracy", "top_3_accuracy"),
        ({"type": "top_k_accuracy", "k": 3}, "top_3_accuracy"),
        ({"type": "tpr_at_fpr", "fpr": 0.01}, "tpr_at_fpr_0_01"),
        ({"type": "tpr_at_fpr", "fpr": 1e-5}, "tpr_at_fpr_0_00001"),
        ({"type": "accuracy"}, "accuracy"),
        ("tpr_at_fpr", "tpr_at_fpr"),
    ],
)
def test_metrics_with_a_number_carry_it_in_their_names(written: Any, name: str) -> None:
    sent = job("people", data={"target": "member"}, metrics=[written])
    if "top" in name:
        sent = job(metrics=[written])
    resolved = plan(sent).spec
    assert resolved.metrics is not None
    assert name in resolved.metrics
    assert metric_info(name) is not None
    assert JobSpec.model_validate(resolved.model_dump(mode="json")) == resolved
    if (rate := fpr_of(name)) is not None:
        assert rate == {"tpr_at_fpr": 0.01, "tpr_at_fpr_0_01": 0.01}.get(name, 1e-5)


def test_which_metrics_rise() -> None:
    assert improves_upwards("validation.accuracy")
    assert improves_upwards("r2")
    assert improves_upwards("validation.top_3_accuracy")
    assert not improves_upwards("validation.calibration_error")
    assert not improves_upwards("validation.loss")
    assert not improves_upwards("validation.rmse")
    assert always_reported("classification", binary=True) == ("accuracy", "auc")
    for task in ("classification", "regression", "reconstruction"):
        assert all(task in METRICS[name].tasks for name in always_reported(task, binary=False))
