"""Requests to the lab: short forms, and every fault where it was written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from core.errors import Invalid
from core.spec.lab import ActivationLab, InitLab, NetworkRace, SurfaceRace
from core.spec.lab_request import plan_race, read_experiment
from core.spec.limits import Limits

NETWORK: dict[str, Any] = {"network": {"layers": []}, "data": {"dataset": "iris"}}


def faults(kind: str, body: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        read_experiment(kind, body)
    return {fault.pointer: fault.code for fault in caught.value.errors}


def test_short_forms_are_written_out() -> None:
    short = read_experiment("optimizers", {"optimizers": ["adam", {"type": "sgd", "lr": 0.1, "schedule": "cosine"}]})
    long = {
        "optimizers": [
            {"optimizer": {"type": "adam"}},
            {"optimizer": {"type": "sgd", "lr": 0.1}, "schedule": {"type": "cosine"}, "name": None},
        ]
    }
    assert short == read_experiment("optimizers", long)
    assert isinstance(short, SurfaceRace)
    assert isinstance(read_experiment("optimizers", {**NETWORK, "optimizers": ["adam"]}), NetworkRace)
    init = read_experiment("init", {"combinations": [{"activation": None, "init": "he"}]})
    assert isinstance(init, InitLab)
    assert init.combinations[0].init.type == "he"


@pytest.mark.parametrize("body", [{"optimizers": ["adam"]}, {**NETWORK, "optimizers": [{"type": "lbfgs"}]}])
def test_what_was_read_reads_again(body: Any) -> None:
    read = read_experiment("optimizers", body)
    assert read_experiment("optimizers", read.model_dump(mode="json")) == read


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("optimizers", 3, {"": "not_an_object"}),
        ("optimizers", {}, {"/optimizers": "missing"}),
        ("optimizers", {"optimizers": []}, {"/optimizers": "out_of_range"}),
        ("optimizers", {"optimizers": "adam"}, {"/optimizers": "wrong_type"}),
        ("optimizers", {"optimizers": ["adamm", 3]}, {"/optimizers/0": "unknown_type", "/optimizers/1": "wrong_type"}),
        (
            "optimizers",
            {"optimizers": [{"type": "sgd", "lr": -1, "momentun": 0}], "steps": 0, "surfaces": "x"},
            {
                "/optimizers/0/lr": "out_of_range",
                "/optimizers/0/momentun": "unknown_field",
                "/steps": "out_of_range",
                "/surfaces": "unknown_field",
            },
        ),
        ("optimizers", {"optimizers": [{"optimizer": {"type": "sgd", "lr": -1}}]}, {"/optimizers/0/optimizer/lr": ""}),
        ("optimizers", {"optimizers": [{"optimizer": "sgdd"}]}, {"/optimizers/0/optimizer": "unknown_type"}),
        ("optimizers", {"optimizers": ["adam"], "surface": "hill"}, {"/surface": "unknown_value"}),
        ("optimizers", {"optimizers": ["adam"], "start": [1, "2"]}, {"/start/1": "wrong_type"}),
        ("optimizers", {"optimizers": ["muon"]}, {"/optimizers": "no_matrices"}),
        (
            "optimizers",
            {"optimizers": [{"type": "sgd", "schedule": "plateau"}]},
            {"/optimizers/0/schedule": "no_validation"},
        ),
        ("optimizers", {"optimizers": ["adam"] * 5, "steps": 10_000}, {"/steps": "too_many_points"}),
        ("optimizers", {**NETWORK, "optimizers": ["adam"], "surface": "beale"}, {"/surface": "surface_or_network"}),
        ("optimizers", {"data": {"dataset": "iris"}, "optimizers": ["adam"]}, {"/network": "missing"}),
        ("init", {"combinations": [{"init": "he"}]}, {"/combinations/0/activation": "missing"}),
        (
            "init",
            {"combinations": [{"activation": "rellu", "init": "hee"}], "depth": 101},
            {
                "/combinations/0/activation": "unknown_type",
                "/combinations/0/init": "unknown_type",
                "/depth": "out_of_range",
            },
        ),
        (
            "init",
            {"combinations": [{"activation": "relu", "init": "he"}] * 12, "width": 1024, "batch": 4096, "depth": 100},
            {"/width": "too_much"},
        ),
        (
            "init",
            {"combinations": [{"activation": "relu", "init": "he"}], "width": 512, "batch": 4096, "depth": 100},
            {"/batch": "too_much"},
        ),
    ],
)
def test_every_fault_is_told_where_it_was_written(kind: str, body: Any, expected: dict[str, str]) -> None:
    found = faults(kind, body)
    assert found.keys() == expected.keys()
    assert all(found[pointer] == code for pointer, code in expected.items() if code)


def test_faults_of_the_plan_stand_where_the_race_has_them() -> None:
    race = read_experiment("optimizers", {**NETWORK, "optimizers": ["adam"], "loss": {"label_smoothing": 0.1}})
    assert isinstance(race, NetworkRace)
    with pytest.raises(Invalid) as caught:
        plan_race(race, lambda _: None, Limits())
    assert [fault.pointer for fault in caught.value.errors] == ["/data/dataset"]


def test_every_example_of_the_page_is_an_experiment() -> None:
    page = (Path(__file__).parents[3] / "docs" / "lab.md").read_text("utf-8")
    bodies = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    fields = {"combinations": "init", "optimizers": "optimizers", "activations": "activations"}
    kinds = [type(read_experiment(next(fields[name] for name in fields if name in body), body)) for body in bodies]
    assert set(kinds) == {SurfaceRace, NetworkRace, InitLab, ActivationLab}
