"""A student's mistakes come back with the warning that explains them, and sound runs with none."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from core.engine.assembling import assemble
from core.engine.constant import reference
from core.engine.curve_symptoms import Curve, Reference, lr_too_high, overfitting, still_learning
from core.engine.layer_symptoms import Symptom
from core.engine.losses import build_loss
from core.engine.rows import Rows
from core.events import Failed, Started, Warned
from core.spec import losses
from core.spec.job import JobSpec
from tests.core.engine.test_resume import interrupted
from tests.core.engine.workbench import Bench

pytestmark = pytest.mark.usefixtures("asked_before_every_step")

DIGITS = {"dataset": "digits"}
SPEC = JobSpec.model_validate(
    {"data": DIGITS, "network": {"family": "linear"}, "optimizer": {"type": "adam", "lr": 1.0}}
)


def deep(layers: int, activation: str, **options: Any) -> dict[str, Any]:
    return {"family": "deep_feed_forward", "hidden": [32] * layers, "activation": activation, **options}


def warned(events: list[Any]) -> dict[str, Warned]:
    """By code the first of each, as they came."""
    found: dict[str, Warned] = {}
    for event in events:
        if isinstance(event, Warned):
            found.setdefault(event.code, event)
    return found


@pytest.mark.parametrize("layers", [False, True])
@pytest.mark.parametrize("init", ["torch", "xavier"])
@pytest.mark.parametrize("optimizer", [{"type": "sgd", "lr": 0.1}, {"type": "adam"}])
def test_twelve_sigmoid_layers(bench: Bench, optimizer: dict[str, Any], init: str, layers: bool) -> None:
    body = {"data": DIGITS, "network": deep(12, "sigmoid", init={"type": init}), "optimizer": optimizer}
    body |= {"training": {"epochs": 1}, "monitor": {"layers": layers}}
    events = bench.events(body)
    told = warned(events)["vanishing_gradients"]
    assert (told.pointer, told.epoch, told.step) == ("/network/layers/0", 1, 1)
    assert "(1/4)^12 = 6.0e-08" in told.detail
    if layers:
        first = next(e.values for e in events if "layer.0.gradient_norm" in getattr(e, "values", {}))
        ratio = first["layer.0.gradient_norm"] / first["layer.24.gradient_norm"]
        assert f"only {ratio:.1e} beside" in told.detail
        assert ratio < 1e-6
    assert sum(isinstance(event, Warned) and event.code == "vanishing_gradients" for event in events) == 1


@pytest.mark.parametrize(
    ("dataset", "optimizer", "activation"),
    [
        ("digits", {"type": "adam", "lr": 10}, "relu"),
        ("breast_cancer", {"type": "adam", "lr": 10}, "tanh"),
        ("moons", {"type": "adam", "lr": 10}, "relu"),
        ("iris", {"type": "sgd", "lr": 10}, "tanh"),
        ("diabetes", {"type": "adam", "lr": 10}, "relu"),
    ],
)
def test_a_rate_far_too_high_that_does_not_diverge(
    bench: Bench, dataset: str, optimizer: dict[str, Any], activation: str
) -> None:
    body = {"data": {"dataset": dataset}, "network": deep(2, activation), "optimizer": optimizer}
    events = bench.events(body | {"training": {"epochs": 3}})
    assert not isinstance(events[-1], Failed)
    told = warned(events)["lr_too_high"]
    assert told.pointer == "/optimizer/lr"
    assert re.search(r"began at [\d.e+]+ and is at [\d.e+]+ after epoch \d", told.detail)
    assert "learning rate of 10" in told.detail
    assert "to 0.0" in told.detail


def test_a_run_that_diverges_is_warned_of_before_it_fails(bench: Bench) -> None:
    body = {"data": {"dataset": "diabetes"}, "network": deep(2, "relu"), "optimizer": {"type": "sgd", "lr": 10}}
    *_, before, last = bench.events(body)
    assert isinstance(last, Failed)
    assert last.code == "diverged"
    assert last.hint
    assert isinstance(before, Warned)
    assert before.code == "lr_too_high"
    assert "to infinity or NaN" in before.detail
    assert "set data.preprocess.target_scale to standard" in before.detail


def test_units_that_died_are_counted_on_many_rows(bench: Bench) -> None:
    body = {
        "data": DIGITS,
        "network": deep(2, "relu"),
        "optimizer": {"type": "adam", "lr": 1},
        "training": {"epochs": 2},
    }
    told = warned(bench.events(body))["dead_units"]
    assert told.pointer == "/network/layers/3"
    assert re.search(r"(9\d|100)% of the units of layer 3 \(relu\) are zero for all of 419 training rows", told.detail)


def test_inputs_that_nothing_scales_saturate_at_once(bench: Bench) -> None:
    data = {"dataset": "wine", "preprocess": {"scale": "none"}}
    told = warned(bench.events({"data": data, "network": deep(2, "tanh"), "training": {"epochs": 1}}))["saturated"]
    assert (told.pointer, told.step) == ("/data/preprocess/scale", 1)
    assert "set data.preprocess.scale to standard" in told.detail


def test_weights_too_large_explode(bench: Bench) -> None:
    network = deep(12, "relu", init={"type": "normal", "std": 0.7})
    told = warned(bench.events({"data": DIGITS, "network": network, "training": {"epochs": 1}}))["exploding_gradients"]
    assert (told.pointer, told.step) == ("/network/layers/0", 1)
    assert "product of all S" in told.detail


def test_a_network_that_learns_by_heart(bench: Bench) -> None:
    data = {"dataset": "moons", "parameters": {"rows": 200, "noise": 0.5}}
    body = {"data": data, "network": {"family": "deep_feed_forward", "hidden": [256, 256]}}
    body |= {"optimizer": {"type": "adam", "lr": 0.01}, "training": {"epochs": 60}}
    told = warned(bench.events(body))["overfitting"]
    assert told.epoch is not None
    assert told.epoch < 50


@pytest.mark.parametrize(
    ("lr", "epochs", "pointer", "advice"),
    [(1e-6, 3, "/optimizer/lr", "is far below sgd's 0.01: raise it"), (0.01, 1, "/optimizer/lr", "for more epochs")],
)
def test_nothing_learnt(bench: Bench, lr: float, epochs: int, pointer: str, advice: str) -> None:
    body = {"data": DIGITS, "network": deep(3, "relu"), "optimizer": {"type": "sgd", "lr": lr}}
    told = warned(bench.events(body | {"training": {"epochs": epochs}}))["no_learning"]
    assert told.pointer == pointer
    assert advice in told.detail


def test_classes_that_are_found_are_something_learnt_whatever_the_loss(bench: Bench) -> None:
    body = {"data": DIGITS, "network": {"family": "linear"}, "optimizer": {"type": "adam", "lr": 10}}
    told = warned(bench.events(body | {"training": {"epochs": 3}}))
    assert told.keys() == {"lr_too_high"}


HEALTHY = [
    deep(3, "relu", init={"type": "he"}),
    deep(8, "relu", init={"type": "he"}),
    deep(8, "tanh", init={"type": "xavier"}),
    deep(4, "gelu"),
    deep(8, "relu", batch_norm=True, dropout=0.2),
    deep(2, "sigmoid", init={"type": "xavier"}),
]


@pytest.mark.parametrize("network", HEALTHY)
def test_sound_networks_are_left_alone(bench: Bench, network: dict[str, Any]) -> None:
    body = {"data": DIGITS, "network": network, "optimizer": {"type": "adam", "lr": 0.003}, "training": {"epochs": 12}}
    assert warned(bench.events(body)) == {}


def test_a_single_sample_a_batch_is_no_reason_to_call_units_dead(bench: Bench) -> None:
    body = {"data": DIGITS, "network": deep(2, "relu"), "training": {"epochs": 1, "batch_size": 1}}
    assert warned(bench.events(body)) == {}


def test_a_resumed_run_neither_repeats_nor_misses_a_warning(bench: Bench) -> None:
    body = {
        "data": {"dataset": "moons", "parameters": {"rows": 100}},
        "network": deep(8, "sigmoid"),
        "optimizer": {"type": "sgd", "lr": 0.01},
        "training": {"epochs": 12, "batch_size": 16},
    }
    straight = [event for event in bench.events(body) if isinstance(event, Warned)]
    assert [event.code for event in straight] == ["vanishing_gradients", "no_learning"]
    broken, stops = interrupted(bench.run(body), np.random.Generator(np.random.PCG64(4)))
    assert stops > 3
    assert all(event.resume_exact for event in broken if isinstance(event, Started))
    assert [event for event in broken if isinstance(event, Warned)] == straight


def test_folds_say_a_thing_once(bench: Bench) -> None:
    body = {
        "data": {"dataset": "iris", "split": {"folds": 3}},
        "network": deep(8, "sigmoid"),
        "optimizer": {"type": "sgd", "lr": 0.01},
        "training": {"epochs": 3},
    }
    straight = [event for event in bench.events(body) if isinstance(event, Warned)]
    assert [event.code for event in straight] == ["vanishing_gradients", "no_learning"]
    broken, _ = interrupted(bench.run(body), np.random.Generator(np.random.PCG64(4)), most_steps=5)
    assert [event for event in broken if isinstance(event, Warned)] == straight


def curve(train: list[float], validation: list[float] | None = None, first: float = 1.0) -> Curve:
    made = Curve(first_loss=first)
    for number, loss in enumerate(train):
        made.add(loss, validation[number] if validation else None)
    return made


FALLING = [1.0 / (1 + 0.3 * epoch) for epoch in range(30)]


def rising(epoch: int, rise: float) -> float:
    return 0.5 + 0.02 * abs(epoch - 10) * (rise if epoch > 10 else 1)


@pytest.mark.parametrize(
    ("validation", "rows", "expected"),
    [
        ([rising(epoch, 1.0) for epoch in range(30)], 1_000, True),
        # a slow drift, one lucky epoch, few rows
        ([rising(epoch, 0.1) for epoch in range(30)], 1_000, False),
        ([0.5 if epoch == 10 else 0.54 for epoch in range(30)], 1_000, False),
        ([rising(epoch, 1.0) for epoch in range(30)], 10, False),
        ([0.9 - 0.01 * epoch for epoch in range(30)], 1_000, False),
    ],
)
def test_overfitting_is_a_rise_beyond_noise(validation: list[float], rows: int, expected: bool) -> None:
    found = overfitting(curve(FALLING, validation), Reference(1.0), rows)
    assert (found is not None) == expected


def test_validation_that_rises_with_training_is_no_overfitting() -> None:
    validation = [rising(epoch, 1.0) for epoch in range(30)]
    assert overfitting(curve(validation, validation), Reference(1.0), 1_000) is None


@pytest.mark.parametrize(
    ("train", "validation", "expected"),
    [
        ([2.0, 1.4], [1.9, 1.3], True),
        ([2.0, 1.4, 1.0, 0.8], None, True),
        ([1.0, 0.6, 0.5, 0.499], [1.0, 0.6, 0.5, 0.5], False),
        ([1.9, 1.2, 0.9, 0.6], [1.9, 1.2, 1.25, 0.9], False),
        ([0.9, 0.5, 0.3, 0.15], [0.9, 0.5, 0.3, 0.15], False),
        ([1.0], [1.0], False),
    ],
)
def test_a_run_that_ends_while_it_learns(train: list[float], validation: list[float] | None, expected: bool) -> None:
    symptom = still_learning(curve(train, validation), Reference(constant=2.0))
    assert (symptom is not None) is expected
    if symptom:
        assert (symptom.code, symptom.pointer) == ("still_learning", "/training/epochs")
        assert "/continue" in symptom.detail


def test_two_epochs_of_digits_are_too_few(bench: Bench) -> None:
    spec = {
        "data": {"dataset": "digits"},
        "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]},
        "optimizer": {"type": "adam", "lr": 0.001},
    }
    assert "still_learning" in warned(bench.events({**spec, "training": {"epochs": 2}}))
    assert "still_learning" not in warned(bench.events({**spec, "training": {"epochs": 20}}))


def test_a_loss_that_swings_and_does_not_fall() -> None:
    swinging = [0.7, 1.4, 0.8, 1.5, 0.7, 1.3, 0.9, 1.6]
    found = lr_too_high(curve(swinging), Reference(1.0), SPEC)
    assert found is not None
    assert "went up and down between 0.7 and 1.6" in found.detail
    falling = [loss / (1 + number) for number, loss in enumerate(swinging)]
    assert lr_too_high(curve(falling), Reference(1.0), SPEC) is None
    assert lr_too_high(curve([loss / 100 for loss in swinging]), Reference(1.0), SPEC) is None


def rows_of(y: np.ndarray[Any, Any], target: torch.Tensor, weight: list[float] | None = None) -> Rows:
    loss_weight = None if weight is None else torch.tensor(weight)
    return Rows(torch.zeros(len(y), 1), target, loss_weight, y, None)


def test_the_constant_answer_is_the_best_there_is(random: np.random.Generator) -> None:
    y = random.gamma(2.0, size=400)
    target = torch.tensor(y, dtype=torch.float32).unsqueeze(1)
    for of, best in (
        (losses.MSE(), ((y - y.mean()) ** 2).mean()),
        (losses.MAE(), np.abs(y - np.median(y)).mean()),
        (losses.Poisson(), y.mean() - y.mean() * np.log(y.mean())),
    ):
        loss = build_loss(of, "regression", 1, 0, torch.float32)
        found = reference(loss, of, rows_of(y[:, None], target), is_classification=False)
        assert found.constant == pytest.approx(best, rel=1e-5)
        assert found.skill(found.constant) == pytest.approx(0, abs=1e-6)
    labels = np.array([0] * 10 + [1] * 30 + [2] * 60)
    cross = build_loss(losses.CrossEntropy(), "classification", 3, 3, torch.float32)
    found = reference(cross, losses.CrossEntropy(), rows_of(labels, torch.tensor(labels)), is_classification=True)
    shares = np.array([0.1, 0.3, 0.6])
    assert found.constant == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-6)
    assert found.share == pytest.approx(0.6)
    weights = [1.0] * 10 + [1 / 3] * 30 + [1 / 6] * 60
    even = reference(
        cross, losses.CrossEntropy(), rows_of(labels, torch.tensor(labels), weights), is_classification=True
    )
    assert even.constant == pytest.approx(np.log(3), rel=1e-6)
    binary = build_loss(losses.BCE(), "classification", 1, 2, torch.float32)
    two = labels.clip(max=1)
    smooth = build_loss(losses.BCE(label_smoothing=0.2), "classification", 1, 2, torch.float32)
    rows = rows_of(two, smooth.encode(torch.tensor(two)))
    share = reference(smooth, losses.BCE(label_smoothing=0.2), rows, is_classification=True).constant
    assert share == pytest.approx(-(0.1 * np.log(0.1) + 0.9 * np.log(0.9)), abs=0.25)
    found = reference(binary, losses.BCE(), rows_of(two, binary.encode(torch.tensor(two))), is_classification=True)
    assert found.constant == pytest.approx(-(0.1 * np.log(0.1) + 0.9 * np.log(0.9)), rel=1e-6)
    assert found.share == pytest.approx(0.9)


def test_what_got_much_worse_is_told_again_but_not_for_ever(bench: Bench) -> None:
    run = bench.run({"data": DIGITS, "network": {"family": "linear"}})
    a = assemble(run.spec, run.schema, run.data_path, torch.device("cpu"), 1)
    symptom = Symptom("saturated", "/x", "seen", 1.0)
    told = [len(a.watch.diagnosis._tell([replace(symptom, severity=10.0**n)], 1, n)) for n in (0, 0.5, 1, 2, 3, 4)]
    assert told == [1, 0, 1, 1, 0, 0]
