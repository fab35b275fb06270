"""Reconstructions: normal rows alone train, errors find anomalies, what is shown is in the user's own unit."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from core.data.prepare import prepare
from core.engine.analyses import Context, analyse
from core.engine.trained import TrainedModel, load_trained
from core.errors import Invalid
from core.events import Checkpoint, Finished, Metrics
from core.spec.analysis_request import read_analysis
from core.spec.layer_types.stochastic import Latent
from tests.core.engine.workbench import Bench, files, last

NETWORK: dict[str, Any] = {"family": "autoencoder", "hidden": [8], "latent": 2}
TRAINING: dict[str, Any] = {"optimizer": {"type": "adam", "lr": 0.02}, "training": {"epochs": 40, "batch_size": 32}}


@pytest.fixture
def parts(bench: Bench, tmp_path: Path, random: np.random.Generator) -> list[dict[str, Any]]:
    """A table whose good rows lie near a plane, the others anywhere; a few have no class."""
    rows: list[dict[str, Any]] = []
    plane = random.normal(size=(2, 4))
    for index in range(300):
        state = "good" if index % 5 else ["broken", "odd"][index % 2]
        values = random.normal(size=2) @ plane + random.normal(size=4) * (0.05 if state == "good" else 1.5)
        colour = "red" if values[0] > 0 else "blue"
        rows.append(
            {
                **{f"v{i}": 100 + 10 * value for i, value in enumerate(values.tolist())},
                "colour": colour,
                "warm": colour == "red",
                "weight": float(random.uniform(0.5, 2)),
                "state": None if index % 50 == 7 else state,
            }
        )
    with (tmp_path / "parts.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    bench.upload("parts", tmp_path / "parts.csv", "csv")
    return rows


def body(**data: Any) -> dict[str, Any]:
    data = {"dataset": "parts", "target": "state", "train_on": "good", "weight": "weight", **data}
    return {"data": data, "task": "reconstruction", "network": NETWORK, **TRAINING}


def model_of(bench: Bench, sent: dict[str, Any]) -> TrainedModel:
    return load_trained(files([e for e in bench.events(sent) if isinstance(e, Checkpoint) and e.is_best][-1])[0])


def test_normal_rows_alone_train_and_all_others_test(bench: Bench, parts: list[dict[str, Any]]) -> None:
    run = bench.run(body())
    prepared = prepare(run.spec, run.schema, run.data_path)
    assert prepared.anomaly is not None
    assert not prepared.anomaly[np.r_[prepared.train, prepared.validation]].any()
    known = [row for row in parts if row["state"] is not None]
    assert len(prepared.x) == len(known)
    assert prepared.anomaly.tolist() == [row["state"] != "good" for row in known]
    every = np.sort(np.concatenate((prepared.train, prepared.validation, prepared.test)))
    assert every.tolist() == list(range(len(known)))
    assert set(np.flatnonzero(prepared.anomaly)) <= set(prepared.test.tolist())
    # what was fitted knows normal rows alone
    v0 = np.array([row["v0"] for row in known])
    assert prepared.preparation.features[0].shift == pytest.approx(v0[prepared.train].mean())
    assert "state" not in prepared.preparation.columns


def test_figures_of_the_error_are_scikit_learns_with_weights(bench: Bench, parts: list[dict[str, Any]]) -> None:
    sent = body()
    run, events = bench.run(sent), bench.events(sent)
    found = last(events, Finished).metrics
    assert found["test.auc"] > 0.9
    # no anomaly validates, so there is no such figure while it trains
    assert "validation.auc" not in last(events, Metrics).values
    model, prepared = model_of(bench, sent), prepare(run.spec, run.schema, run.data_path)
    x = torch.from_numpy(prepared.x[prepared.test])
    assert prepared.anomaly is not None
    assert prepared.weight is not None
    truth, weight = prepared.anomaly[prepared.test], prepared.weight[prepared.test]
    error = model.errors(model.network(x), x)
    assert found["test.auc"] == pytest.approx(roc_auc_score(truth, error, sample_weight=weight))
    expected = average_precision_score(truth, error, sample_weight=weight)
    assert found["test.average_precision"] == pytest.approx(expected)


def test_a_column_that_splits_leaves_other_rows_of_training_out(
    bench: Bench, tmp_path: Path, random: np.random.Generator
) -> None:
    lines = [
        f"{a:.4f},{b:.4f},{index % 2},{['train', 'test'][index % 3 == 0]}"
        for index, (a, b) in enumerate(random.normal(size=(60, 2)))
    ]
    (tmp_path / "split.csv").write_text("\n".join(["a,b,bad,part", *lines]))
    bench.upload("split", tmp_path / "split.csv", "csv")
    data = {"dataset": "split", "target": "bad", "train_on": 0, "split": {"column": "part", "validation": 0.2}}
    run = bench.run({"data": data, "task": "reconstruction", "network": NETWORK})
    prepared = prepare(run.spec, run.schema, run.data_path)
    assert sorted(prepared.test.tolist()) == list(range(0, 60, 3))
    train = [*prepared.train.tolist(), *prepared.validation.tolist()]
    assert sorted(train) == [index for index in range(60) if index % 3 and index % 2 == 0]


def test_without_train_on_all_rows_train_and_the_second_class_is_the_anomaly(
    bench: Bench, tmp_path: Path, random: np.random.Generator
) -> None:
    x = random.normal(size=(200, 2)) @ random.normal(size=(2, 5))
    y = (np.arange(200) % 10 == 0).astype(np.int64)
    x[y == 1] += random.normal(size=(20, 5)) * 3
    np.savez(tmp_path / "arrays.npz", x=x, y=y)
    bench.upload("arrays", tmp_path / "arrays.npz", "npz")
    sent = {"data": {"dataset": "arrays", "target": "y"}, "network": NETWORK, **TRAINING}
    events = bench.events(sent)
    assert bench.run(sent).spec.task == "reconstruction"
    assert last(events, Metrics).values["validation.auc"] is not None
    assert last(events, Finished).metrics["test.auc"] > 0.8


def test_rows_come_back_in_their_own_units_and_names(bench: Bench, parts: list[dict[str, Any]]) -> None:
    model = model_of(bench, body())
    good = [row for row in parts if row["state"] == "good"][:40]
    answer = model.predict(rows=good, output="reconstruction")
    assert answer["classes"] is None
    assert model.predict(rows=good)["data"] == answer["data"]
    assert list(answer["data"][0]) == ["v0", "v1", "v2", "v3", "colour", "warm"]
    made = np.array([[row[f"v{i}"] for i in range(4)] for row in answer["data"]])
    given = np.array([[row[f"v{i}"] for i in range(4)] for row in good])
    assert np.abs(made - given).mean() < 0.5 * np.abs(given - given.mean(0)).mean()
    assert np.mean([row["colour"] == its["colour"] for row, its in zip(answer["data"], good, strict=True)]) > 0.8
    assert {type(row["warm"]) for row in answer["data"]} == {bool}
    code = np.array(model.predict(rows=good, output="encoding")["data"])
    assert code.shape == (40, 2)


def test_the_error_has_the_form_of_the_trained_loss(bench: Bench, tmp_path: Path, random: np.random.Generator) -> None:
    x = random.normal(size=(80, 3, 4)) * 5 + 2
    np.save(tmp_path / "x.npy", x)
    bench.upload("sequences", tmp_path / "x.npy", "npy")
    for loss, form in (("mae", np.abs), ("mse", np.square)):
        sent = {"data": {"dataset": "sequences"}, "network": NETWORK, "loss": {"type": loss}}
        model = model_of(bench, sent | {"training": {"epochs": 2}})
        made = np.array(model.predict(inputs=x[:5].tolist(), output="reconstruction")["data"])
        assert made.shape == (5, 3, 4)
        scaled = [model.preparation.inputs_to_x(each.tolist()) for each in (made, x[:5])]
        error = model.predict(inputs=x[:5].tolist(), output="error")["data"]
        np.testing.assert_allclose(error, form(scaled[0] - scaled[1]).reshape(5, -1).mean(1), rtol=1e-4)


def test_analyses_tell_rows_by_the_label_that_was_asked_for(bench: Bench, parts: list[dict[str, Any]]) -> None:
    sent = body(features=["v0", "v1", "v2", "v3"])
    model, run = model_of(bench, sent), bench.run(sent)
    context = Context(model, run.spec, run.schema, run.data_path)
    data = analyse(read_analysis({"type": "reconstructions", "examples": 24}), context)
    assert data["label"] == "state"
    labelled = [row for row in parts if row["state"] is not None]
    for example in data["examples"]:
        row = labelled[example["row"]]
        assert data["classes"][example["class"]] == row["state"]
        assert example["input"] == pytest.approx([row[f"v{i}"] for i in range(4)], rel=1e-3)
    means = {each["class"]: each["mean"] for each in data["histogram"]["by_class"]}
    assert means["good"] < min(means["broken"], means["odd"])


def test_samples_are_decoded_draws(bench: Bench, parts: list[dict[str, Any]]) -> None:
    sent = body() | {"network": {"family": "variational_autoencoder", "hidden": [8], "latent": 2, "beta": 0.1}}
    model = model_of(bench, sent)
    layers = model.spec.layered().layers
    assert model.latent is not None
    assert isinstance(layers[model.latent], Latent)
    drawn = model.predict(output="sample", n=200, seed=3)["data"]
    assert len(drawn) == 200
    assert drawn == model.predict(output="sample", n=200, seed=3)["data"]
    assert drawn != model.predict(output="sample", n=200, seed=4)["data"]
    assert len(model.predict(output="sample")["data"]) == 1
    assert len(model.predict(rows=[{}, {}, {}], output="sample")["data"]) == 3
    # they look like the rows that it learnt
    mean = np.mean([row["v0"] for row in parts if row["state"] == "good"])
    spread = np.std([row["v0"] for row in parts if row["state"] == "good"])
    assert abs(np.mean([row["v0"] for row in drawn]) - mean) < 0.5 * spread
    assert {row["colour"] for row in drawn} == {"red", "blue"}
    with pytest.raises(Invalid):
        model_of(bench, body()).predict(output="sample")
