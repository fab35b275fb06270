"""All faults of a spec at once, each with a pointer, the figure, the limit and what to do."""

from __future__ import annotations

import time
from typing import Any

import pytest

from core.spec.findings import Findings, nearest, pointer, show
from core.spec.limits import Limits
from tests.core.spec.sets import LINEAR, fault_details, faults, job


def test_faults_of_every_section_come_together() -> None:
    body = {
        "nmae": "x",
        "data": {
            "dataset": "people",
            "target": "bougth",
            "split": {"validation": 1.5},
            "preprocess": {"scale": "standrad"},
        },
        "network": {
            "layers": [{"type": "linear", "units": -3}, {"type": "dense", "units": 4}, {"type": "dropout", "p": 2}]
        },
        "optimizer": {"type": "adm"},
        "loss": {"type": "mse", "reduction": "avg"},
        "training": {"epochs": 0, "batch_size": "all", "early_stopping": {"monitor": "loss"}},
        "schedule": {"type": "cosine", "cycles": 1.5},
        "metrics": ["accurracy"],
    }
    assert faults(body) == {
        "/nmae": "unknown_field",
        "/data/target": "unknown_column",  # needs the data set, and is here although half of the rest is unreadable
        "/data/split/validation": "out_of_range",
        "/data/preprocess/scale": "unknown_value",
        "/network/layers/0/units": "out_of_range",
        "/network/layers/1/type": "unknown_type",
        "/network/layers/2/p": "out_of_range",
        "/optimizer/type": "unknown_type",
        "/loss/reduction": "unknown_value",
        "/training/epochs": "out_of_range",
        "/training/batch_size": "wrong_type",
        "/training/early_stopping/monitor": "out_of_range",
        "/schedule/cycles": "wrong_type",
        "/metrics/0": "unknown_value",
    }


@pytest.mark.parametrize(
    ("change", "where", "meant"),
    [
        ({"nmae": "x"}, "/nmae", "write name"),
        ({"lr": 0.1}, "/lr", "move it to /optimizer/lr"),
        ({"epochs": 3}, "/epochs", "move it to /training/epochs"),
        ({"optimizer": {"type": "adm"}}, "/optimizer/type", "write adam "),
        ({"optimizer": {"type": "adam", "learning_rate": 1}}, "/optimizer/learning_rate", "remove it"),
        ({"network": {"layer": []}}, "/network/layer", "write layers"),
        ({"network": {"family": "mlp"}}, "/network/family", "write feed_forward"),
        ({"network": {"family": "feed_forward", "layers": []}}, "/network/layers", "give either a family or layers"),
        ({"network": {"layers": [{"type": "ReLU"}]}}, "/network/layers/0/type", "write relu"),
        ({"network": {"layers": [{"type": "dense"}]}}, "/network/layers/0/type", "write linear"),
        ({"network": {"layers": [{"type": "softmax"}]}}, "/network/layers/0/type", "leave softmax out"),
        ({"loss": {"type": "crossentropy"}}, "/loss/type", "write cross_entropy"),
        ({"metrics": ["roc_auc"]}, "/metrics/0", "write auc"),
        ({"data": {"dataset": "digits", "target": "lable"}}, "/data/target", 'write "label"'),
        ({"data": {"dataset": "digits", "features": ["Pixel_3"]}}, "/data/features/0", 'write "pixel_3"'),
    ],
)
def test_the_name_that_was_meant_is_said(change: dict[str, Any], where: str, meant: str) -> None:
    error = fault_details(job() | change)[where]
    assert f"do {meant}" in error.detail
    assert error.detail.startswith("received ")
    assert ", expected " in error.detail


@pytest.mark.parametrize(
    ("section", "value", "where", "detail"),
    [
        ("training", {"batch_size": 0}, "/training/batch_size", "received 0, expected a number from 1 or 'full'"),
        ("training", {"batch_size": "all"}, "/training/batch_size", "received \"all\", expected an integer or 'full'"),
        ("training", {"epochs": 2.5}, "/training/epochs", "received 2.5, expected an integer"),
        ("training", {"shuffle": 1}, "/training/shuffle", "received 1, expected true or false"),
        ("training", [], "/training", "received a list of 0, expected an object"),
        ("network", {"layers": [{"units": 1}]}, "/network/layers/0/type", "received no type, expected one"),
        ("optimizer", {"type": "adam", "betas": [0.9]}, "/optimizer/betas/1", "received nothing"),
        ("optimizer", {"type": "sgd", "lr": 0}, "/optimizer/lr", "received 0, expected a number above 0"),
        ("optimizer", {"type": "sgd", "nesterov": True}, "/optimizer/nesterov", "do set momentum to 0.9"),
        (
            "schedule",
            {"type": "cosine", "min_lr": float("inf")},
            "/schedule/min_lr",
            "received a number that is not finite",
        ),
        ("loss", {"type": "auto", "class_weight": {"3": -1}}, "/loss/class_weight/3", "received -1"),
        ("loss", {"type": "auto", "class_weight": "even"}, "/loss/class_weight", "'balanced' or an object or a list"),
        ("tags", {"a/b~c": 1}, "/tags/a~1b~0c", "received 1, expected a text"),
        ("tags", {"type": 1}, "/tags/type", "received 1, expected a text"),
    ],
)
def test_a_sentence_says_received_and_expected(section: str, value: object, where: str, detail: str) -> None:
    found = fault_details(job() | {section: value})
    assert list(found) == [where]
    assert detail in found[where].detail


@pytest.mark.parametrize("body", [None, 3, [], "spec"])
def test_a_body_that_is_no_object(body: object) -> None:
    assert faults(body) == {"": "not_an_object"}


def test_missing_sections_are_named_and_no_more() -> None:
    assert faults({}) == {"/data": "missing", "/network": "missing"}
    assert faults({"data": {}, "network": {}}) == {"/data/dataset": "missing", "/network/layers": "missing"}


def test_an_unknown_data_set_hides_no_fault_of_the_network() -> None:
    body = job(
        "digitz", {"type": "linear", "units": 90_000}, {"type": "linear", "units": 90_000}, optimizer={"type": "x"}
    )
    assert faults(body) == {
        "/data/dataset": "unknown_dataset",
        "/optimizer/type": "unknown_type",
        "/network/layers/1": "too_many_parameters",
    }


def test_faults_of_the_data_set_itself_are_handed_on() -> None:
    assert faults(job(data={"parameters": {"refused": 1}})) == {"/data/parameters/refused": "unknown_parameter"}


def test_a_fault_between_fields_shows_although_another_field_is_wrong() -> None:
    body = job(data={"split": {"validation": 0.6, "test": 0.6, "seed": -1}})
    assert faults(body) == {"/data/split/seed": "out_of_range", "/data/split/validation": "no_training_rows"}


def test_what_follows_from_a_fault_is_not_reported() -> None:
    body = job("digits", {"type": "linear", "units": "ten"}, {"type": "relu"})
    body["network"]["head"] = [{"type": "relu"}]  # right or wrong, which nobody can tell behind the first layer
    assert faults(body) == {"/network/layers/0/units": "wrong_type"}
    assert faults(job(data={"target": "lable"}, loss={"type": "mae"}, metrics=["f1"])) == {
        "/data/target": "unknown_column"
    }


@pytest.mark.parametrize(
    ("body", "where", "figures"),
    [
        (job("digits", {"type": "linear", "units": 10**6}), "/network/layers/0/units", ("1000000", "100000")),
        (
            job("digits", {"type": "linear", "units": 10**5}, {"type": "linear", "units": 10**5}),
            "/network/layers/1",
            ("10000100000", "50000000"),
        ),
        (job(network={"family": "feed_forward", "hidden": [10**7]}), "/network/hidden/0", ("10000000", "100000")),
        (job("digits", *[{"type": "relu"}] * 501), "/network/layers", ("502", "500")),
        (job(training={"epochs": 10**7}), "/training/epochs", ("10000000", "1000000")),
        (job(training={"epochs": 10**6, "batch_size": 1}), "/training/epochs", ("1257000000", "50000000")),
        (job(training={"batch_size": 10**7}), "/training/batch_size", ("10000000", "1000000")),
        (
            job("digits", *[{"type": "linear", "units": 7000}, {"type": "tanh"}] * 1, training={"batch_size": "full"}),
            "/training/batch_size",
            ("141", "1000000"),
        ),
    ],
)
def test_a_limit_says_the_figure_and_the_limit(body: dict[str, Any], where: str, figures: tuple[str, str]) -> None:
    limits = Limits(activation_bytes=1_000_000) if "141" in figures else Limits()
    detail = fault_details(body, limits)[where].detail
    assert all(figure in detail for figure in figures), detail


def test_a_huge_network_is_refused_by_arithmetic_alone() -> None:
    """A million by a million would be 4 TB: the answer comes before anything is made."""
    body = job("digits", {"type": "linear", "units": 10**6}, {"type": "linear", "units": 10**6})
    faults(body)
    start = time.perf_counter()
    found = fault_details(body)
    assert time.perf_counter() - start < 0.05
    assert "1000076000010 parameters" in found["/network/layers/1"].detail


def test_baselines_need_a_target_and_naive_a_forecast() -> None:
    assert faults(job(baselines=["tree", "naive", "tree"])) == {
        "/baselines/1": "needs_window",
        "/baselines/2": "duplicate",
    }
    assert faults(job("only_x", baselines=["tree"])) == {"/baselines": "wrong_task"}
    assert not faults(job("people", data={"target": "age", "window": {"length": 3}}, baselines=["linear", "naive"]))


def test_findings_keep_order_and_set_aside() -> None:
    findings = Findings()
    findings.taint("/a/b")
    findings.fault("/a", "x", "around a field that was set aside")
    findings.fault("/a/b/c", "x", "within it")
    findings.fault("/ab", "x", "beside it")
    findings.fault("/d", "x", "rests upon it", needs=("/a",))
    findings.fault("/e", "x", "rests upon a fault", needs=("/ab",))
    findings.warn("w", "/ab", "once")
    findings.warn("w", "/ab", "twice")
    assert [error.pointer for error in findings.errors] == ["/ab"]
    assert [warning.detail for warning in findings.warnings] == ["once"]


def test_words_for_messages() -> None:
    assert pointer(("a/b", 3, "c~d")) == "/a~1b/3/c~0d"
    assert [show(value) for value in (None, True, "x", 1.5, float("nan"), {}, [1], 10**80)] == [
        "null", "true", '"x"', "1.5", "a number that is not finite", "an object", "a list of 1", "1" + "0" * 56 + "…",
    ]  # fmt: skip
    assert nearest("Adm", ["sgd", "adam"]) == "adam"
    assert nearest("zzz", ["sgd", "adam"]) is None
    assert faults(job(network=LINEAR)) == {}
