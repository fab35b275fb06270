"""What a student gets wrong is told with its place; what only looks like it is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from core.spec.data import DataSpec
from core.spec.dataset import Column, DatasetSchema
from core.spec.limits import Limits
from core.spec.plan import check_job

X = tuple(Column(name=name, type="float", min=-3.0, max=3.0, mean=0.0, std=1.0) for name in ("x1", "x2"))


def _marks(*means: float) -> tuple[Column, ...]:
    return tuple(
        Column(name=f"is_{at}", type="integer", distinct=2, categories=(0, 1), min=0.0, max=1.0, mean=mean, std=0.4)
        for at, mean in enumerate(means)
    )


SETS = {
    "two": DatasetSchema(
        kind="table",
        rows=1000,
        columns=(*X, Column(name="label", type="string", distinct=2, categories=("a", "b"), counts=(500, 500))),
        default_target="label",
    ),
    "three": DatasetSchema(
        kind="table",
        rows=1000,
        columns=(
            *X,
            Column(name="label", type="string", distinct=3, categories=("a", "b", "c"), counts=(400, 400, 200)),
        ),
        default_target="label",
    ),
    "signed": DatasetSchema(
        kind="table",
        rows=1000,
        columns=(*X, Column(name="y", type="float", min=-1.0, max=2.0, mean=0.5, std=1.0)),
        default_target="y",
    ),
    "positive": DatasetSchema(
        kind="table",
        rows=1000,
        columns=(*X, Column(name="y", type="float", min=0.5, max=2.0, mean=1.0, std=0.4)),
        default_target="y",
    ),
    "dear": DatasetSchema(
        kind="table",
        rows=1000,
        columns=(*X, Column(name="y", type="float", min=0.0, max=9e5, mean=4e5, std=1e5)),
        default_target="y",
    ),
    "one_hot": DatasetSchema(kind="table", rows=1000, columns=(*X, *_marks(0.25, 0.25, 0.5))),
    "many_hot": DatasetSchema(kind="table", rows=1000, columns=(*X, *_marks(0.25, 0.75, 0.5))),
    "few": DatasetSchema(
        kind="table",
        rows=30,
        columns=(*X, Column(name="label", type="string", distinct=2, categories=("a", "b"))),
        default_target="label",
    ),
    "unnamed": DatasetSchema(kind="table", rows=1000, columns=(*X, Column(name="Label", type="integer", distinct=2))),
}


def _dense(*layers: int | str | dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "linear", "units": each}
        if isinstance(each, int)
        else {"type": each}
        if isinstance(each, str)
        else each
        for each in layers
    ]


def _spec(dataset: str, *layers: int | str | dict[str, Any], **more: Any) -> dict[str, Any]:
    data = {"dataset": dataset, **more.pop("data", {})}
    network = {"layers": _dense(*(layers or (16, "relu"))), **more.pop("network", {})}
    return {"data": data, "network": network, **more}


def _find(data: DataSpec) -> DatasetSchema | None:
    return SETS.get(data.dataset)


def _warned(body: dict[str, Any]) -> dict[str, str]:
    return {each.code: each.pointer for each in check_job(body, _find, Limits()).warnings}


def _adamw(decay: float) -> dict[str, Any]:
    return {"type": "adamw", "lr": 0.01, "weight_decay": decay}


MARKS = {"data": {"target": ["is_0", "is_1", "is_2"]}}
SCALED = {"data": {"preprocess": {"target_scale": "standard"}}}

FAULTY = [
    ("output_layer_twice", "/network/layers/2", _spec("two", 16, "relu", 1, "sigmoid")),
    ("output_layer_twice", "/network/layers/2", _spec("signed", 16, "relu", 1, "relu")),
    ("output_layer_twice", "/network/layers/2", _spec("three", 16, "relu", 3, "sigmoid")),
    ("linear_stack", "/network/head", _spec("three", 16, "relu", 3)),
    ("output_out_of_reach", "/network/head/1", _spec("signed", network={"head": _dense(1, "relu")})),
    ("output_out_of_reach", "/network/head/1", _spec("dear", network={"head": _dense(1, "sigmoid")})),
    ("output_out_of_reach", "/network/head/1", _spec("positive", network={"head": _dense(1, "softplus")}, **SCALED)),
    (
        "output_out_of_reach",
        "/network/head/1",
        _spec("unnamed", task="reconstruction", network={"head": _dense(3, "sigmoid")}),
    ),
    ("dropout_too_high", "/network/layers/2", _spec("two", 16, "relu", {"type": "dropout", "p": 0.99})),
    ("regularization_too_strong", "/regularization/l2", _spec("two", regularization={"l2": 100.0})),
    ("regularization_too_strong", "/regularization/l1", _spec("signed", regularization={"l1": 10.0})),
    ("regularization_too_strong", "/optimizer/weight_decay", _spec("two", optimizer=_adamw(50.0))),
    (
        "regularization_too_strong",
        "/optimizer/weight_decay",
        _spec("two", optimizer={"type": "sgd", "lr": 0.1, "weight_decay": 5.0}),
    ),
    ("class_weight_extreme", "/loss/class_weight", _spec("two", loss={"class_weight": {"a": 1, "b": 1000}})),
    ("class_weight_extreme", "/loss/class_weight", _spec("two", loss={"class_weight": {"a": 0, "b": 1}})),
    ("batch_larger_than_data", "/training/batch_size", _spec("two", training={"batch_size": 4096})),
    ("few_rows", "/data/split", _spec("few")),
    ("one_hot_target", "/data/target", _spec("one_hot", **MARKS)),
]

SOUND = [
    # two sigmoids for XOR, one unit to show that it is not enough, a narrow layer of ReLU
    ("output_layer_twice", _spec("two", 2, "sigmoid")),
    ("output_layer_twice", _spec("two", 1, "tanh")),
    ("output_layer_twice", _spec("two", 16, "relu", 2, "tanh")),
    ("output_layer_twice", _spec("three", 16, "relu", 3, "relu")),
    ("output_layer_twice", _spec("two", 16, "relu", 16, "sigmoid")),
    ("output_layer_twice", _spec("two", 16, "relu", 1, "sigmoid", network={"head": _dense(1)})),
    ("output_out_of_reach", _spec("positive", network={"head": _dense(1, "softplus")})),
    ("output_out_of_reach", _spec("signed", network={"head": _dense(1)})),
    ("dropout_too_high", _spec("two", 16, "relu", {"type": "dropout", "p": 0.5})),
    ("regularization_too_strong", _spec("two", regularization={"l1": 0.01, "l2": 0.01})),
    ("regularization_too_strong", _spec("dear", regularization={"l2": 100.0})),
    ("regularization_too_strong", _spec("two", optimizer=_adamw(0.1))),
    ("regularization_too_strong", _spec("two", optimizer={"type": "adamw", "lr": 10.0})),
    ("class_weight_extreme", _spec("three", loss={"class_weight": "balanced"})),
    ("class_weight_extreme", _spec("two", loss={"class_weight": {"a": 1, "b": 5}})),
    ("batch_larger_than_data", _spec("two", training={"batch_size": 512})),
    ("batch_larger_than_data", _spec("two", training={"batch_size": "full"})),
    ("batch_larger_than_data", _spec("few")),
    ("few_rows", _spec("two")),
    ("few_rows", _spec("few", data={"split": {"validation": 0, "test": 0}})),
    ("one_hot_target", _spec("many_hot", **MARKS)),
    ("one_hot_target", _spec("signed")),
]


@pytest.mark.parametrize(("code", "pointer", "body"), FAULTY)
def test_a_wrong_spec_is_told_where(code: str, pointer: str, body: dict[str, Any]) -> None:
    assert _warned(body).get(code) == pointer


@pytest.mark.parametrize(("code", "body"), SOUND)
def test_a_sound_spec_is_left_alone(code: str, body: dict[str, Any]) -> None:
    assert code not in _warned(body)


def test_an_output_layer_of_ones_own_without_an_activation_is_told_to_go() -> None:
    (warning,) = check_job(_spec("three", 16, "relu", 3), _find, Limits()).warnings
    assert "the output layer follows from the task" in warning.detail


def test_a_forgotten_target_is_guessed_by_its_name() -> None:
    (warning,) = check_job(_spec("unnamed"), _find, Limits()).warnings
    assert (warning.code, warning.pointer) == ("no_target", "/data/target")
    assert '"Label"' in warning.detail
