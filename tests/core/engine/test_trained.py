"""Predictions from a checkpoint's file alone: classes, probabilities, numbers, reconstructions; and bad requests."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from core.engine.safe import json_safe
from core.engine.trained import TrainedModel, load_trained
from core.errors import Invalid
from core.events import Checkpoint
from tests.core.engine.workbench import Bench, files, last


def model_of(bench: Bench, body: dict[str, Any]) -> TrainedModel:
    return load_trained(files(last(bench.events(body), Checkpoint))[0])


def people(path: Path, random: np.random.Generator) -> list[dict[str, Any]]:
    """A table of every column type, with gaps."""
    rows: list[dict[str, Any]] = []
    for index in range(120):
        age, colour = float(random.normal(40, 10)), str(random.choice(["blue", "green", "red"]))
        wants = age + {"blue": 20, "green": 0, "red": -20}[colour] > 40
        gap = index % 17 == 3
        rows.append(
            {
                "age": None if gap else age,
                "colour": None if index % 19 == 5 else colour,
                "member": bool(random.integers(2)),
                "visits": int(random.integers(60)),
                "answer": "yes" if wants else "no",
            }
        )
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return rows


PEOPLE: dict[str, Any] = {
    "data": {"dataset": "people", "target": "answer", "derive": {"older": "age * age + hypot(age, visits)"}},
    "network": {"family": "feed_forward", "hidden": [16], "batch_norm": True, "dropout": 0.1},
    "optimizer": {"type": "adam", "lr": 0.02},
    "training": {"epochs": 30},
}


@pytest.fixture
def table(bench: Bench, tmp_path: Path, random: np.random.Generator) -> list[dict[str, Any]]:
    rows = people(tmp_path / "people.csv", random)
    bench.upload("people", tmp_path / "people.csv", "csv")
    return [{name: value for name, value in row.items() if name != "answer"} for row in rows]


def test_classes_and_probabilities_of_a_table(bench: Bench, table: list[dict[str, Any]]) -> None:
    model = model_of(bench, PEOPLE)
    answer, shares = model.predict(rows=table), model.predict(rows=table, output="probability")
    assert answer["classes"] == ["no", "yes"]
    assert set(answer["data"]) == {"no", "yes"}
    p = np.array(shares["data"])
    assert p.shape == (120, 2)
    np.testing.assert_allclose(p.sum(1), 1)
    assert [("no", "yes")[index] for index in p.argmax(1)] == answer["data"]
    # a label needs no place in the row, an unknown category is no error, and one row gives what many give
    alone = model.predict(rows=[table[7] | {"answer": "yes"}], output="probability")["data"][0]
    assert alone == pytest.approx(shares["data"][7], rel=1e-5)
    assert len(model.predict(rows=[table[7] | {"colour": "mauve"}])["data"]) == 1
    json.dumps([answer, shares], allow_nan=False)


def test_predictions_are_those_of_the_plain_network_on_the_prepared_rows(bench: Bench) -> None:
    body = {
        "data": {"dataset": "diabetes", "preprocess": {"target_scale": "standard"}},
        "network": {"layers": [{"type": "linear", "units": 8}, {"type": "tanh"}]},
    }
    run = bench.run(body)
    model = model_of(bench, body)
    row = bench.sets["diabetes"].preview[0]
    plain = nn.Sequential(nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, 1))
    plain.load_state_dict(model.network.state_dict())
    x = torch.from_numpy(model.preparation.rows_to_x([row]))
    (mean,), (deviation,) = model.preparation.target_shift or (), model.preparation.target_scale or ()
    expected = plain(x).item() * deviation + mean
    assert model.predict(rows=[row])["data"] == [pytest.approx(expected, rel=1e-5)]
    values = [row[name] for name in model.preparation.columns]
    assert model.predict(inputs=[values])["data"] == model.predict(rows=[row])["data"]
    assert model.spec.model_copy(update={"name": None, "tags": {}}) == run.spec.model_copy(update={"tags": {}})


def test_reconstructions_and_their_errors(bench: Bench, tmp_path: Path, random: np.random.Generator) -> None:
    x = random.normal(size=(80, 2)) @ random.normal(size=(2, 5))
    np.save(tmp_path / "x.npy", x)
    bench.upload("plane", tmp_path / "x.npy", "npy")
    body = {
        "data": {"dataset": "plane"},
        "network": {"layers": [{"type": "linear", "units": 2}]},
        "optimizer": {"type": "adam", "lr": 0.05},
        "training": {"epochs": 80},
    }
    model = model_of(bench, body)
    on_plane = model.predict(inputs=x[:3].tolist(), output="error")["data"]
    off_plane = model.predict(inputs=(x[:3] + random.normal(size=(3, 5)) * 3).tolist(), output="error")["data"]
    assert max(on_plane) < min(off_plane)
    assert np.shape(model.predict(inputs=x[:3].tolist(), output="reconstruction")["data"]) == (3, 5)


def test_bad_requests_are_told_apart(bench: Bench, table: list[dict[str, Any]]) -> None:
    model = model_of(bench, PEOPLE | {"training": {"epochs": 1}})
    for arguments, pointer in (
        ({"rows": table[:1], "output": "sample"}, "/output"),
        ({}, "/rows"),
        ({"rows": table[:1], "inputs": [[1]]}, "/rows"),
        ({"rows": [table[0], table[1] | {"age": "old"}]}, "/rows/1/age"),
    ):
        with pytest.raises(Invalid) as caught:
            model.predict(**arguments)
        assert [error.pointer for error in caught.value.errors] == [pointer]
    assert model.predict(rows=[])["data"] == []


def test_numbers_that_are_not_finite_become_null() -> None:
    assert json_safe(np.array([[1.0, np.inf], [np.nan, 2.0]])) == [[1.0, None], [None, 2.0]]
