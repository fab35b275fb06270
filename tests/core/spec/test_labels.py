"""The label of a reconstruction: which classes are normal, what is reported, and what does not go together."""

from __future__ import annotations

from typing import Any

import pytest

from core.spec.dataset import Column, DatasetSchema
from core.spec.limits import Limits
from core.spec.plan import check_job
from tests.core.spec.sets import faults, numbers, plan

NETWORK = {"family": "autoencoder"}


def job(dataset: str = "people", *, task: str = "reconstruction", **more: Any) -> dict[str, Any]:
    data = {"dataset": dataset, **more.pop("data", {})}
    return {"data": data, "network": more.pop("network", NETWORK), "task": task, **more}


def test_a_label_is_no_feature_and_brings_figures() -> None:
    sound = plan(job(data={"target": "bought", "train_on": "no"}))
    assert "bought" not in sound.features
    assert sound.to_json()["label"] == {"target": "bought", "normal": ["no"], "anomalies": ["yes"]}
    assert sound.spec.metrics == ("mse", "mae", "auc", "average_precision")
    assert sound.classes is None
    assert plan(sound.spec.model_dump(mode="json")).spec == sound.spec
    assert plan(job(data={"target": "bought"})).to_json()["label"]["anomalies"] == ["yes"]
    assert plan(job()).to_json()["label"] is None


def test_of_many_classes_some_are_normal() -> None:
    sound = plan(job("digits", data={"target": "label", "train_on": [0, 1]}))
    assert sound.label is not None
    assert sound.label.normal == (0, 1)
    assert sound.label.anomalies == tuple(range(2, 10))
    sound = plan(job("images", data={"target": "y", "train_on": 2}))
    assert sound.label is not None
    assert (sound.label.name, sound.label.normal) == ("y", (2,))


def test_an_autoencoder_takes_a_target_for_its_label() -> None:
    assert plan(job(task="auto", data={"target": "bought"})).spec.task == "reconstruction"


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (job("digits", data={"target": "label"}), "/data/target", "too_many_classes"),
        (job(data={"target": "income"}), "/data/target", "no_classes"),
        (job(data={"target": ["bought", "member"]}), "/data/target", "one_target"),
        (job(data={"target": "bought", "train_on": "maybe"}), "/data/train_on", "unknown_class"),
        (job(data={"target": "bought", "train_on": True}), "/data/train_on", "unknown_class"),
        (job(data={"target": "bought", "train_on": ["no", "yes"]}), "/data/train_on", "no_anomalies"),
        (job(data={"train_on": "no"}), "/data/train_on", "wrong_task"),
        (job("images", data={"train_on": 1}), "/data/train_on", "wrong_task"),
        (
            job(task="classification", data={"target": "bought", "train_on": "no"}, network={"layers": []}),
            "/data/train_on",
            "wrong_task",
        ),
        (job(metrics=["auc"]), "/metrics/0", "wrong_task"),
        (job(data={"target": "bought"}, metrics=["accuracy"]), "/metrics/0", "wrong_task"),
    ],
)
def test_what_does_not_go_together(body: dict[str, Any], pointer: str, code: str) -> None:
    assert faults(body) == {pointer: code}


def test_what_may_be_watched() -> None:
    watched = {"training": {"early_stopping": {"monitor": "validation.auc"}}}
    assert plan(job(data={"target": "bought"}, **watched))
    where = {"/training/early_stopping/monitor": "not_reported"}
    assert faults(job(data={"target": "bought", "train_on": "no"}, **watched)) == where


def test_anomalies_that_train_are_told() -> None:
    label = Column(name="odd", type="integer", distinct=2, categories=(0, 1), counts=(930, 70))
    schema = DatasetSchema(kind="table", rows=1000, columns=(*numbers("a", "b", "c"), label))
    for data, counts, told in (({}, (930, 70), 1), ({}, (995, 5), 0), ({"train_on": 0}, (930, 70), 0)):
        columns = (*schema.columns[:3], label.model_copy(update={"counts": counts}))
        made = schema.model_copy(update={"columns": columns})
        body = job("odd", data={"target": "odd", **data})
        warned = [
            one for one in check_job(body, lambda _, made=made: made, Limits()).warnings if "train_on" in one.pointer
        ]
        assert [one.code for one in warned] == ["anomalies_in_training"] * told
    assert (
        "set train_on to 0"
        in check_job(job("odd", data={"target": "odd"}), lambda _: schema, Limits()).warnings[0].detail
    )
