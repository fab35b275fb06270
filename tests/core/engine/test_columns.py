"""Networks on categories, times and gaps: they learn, resume exactly, predict, and are the same in ONNX."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from core.engine.export import export
from core.engine.layer_types.columns import ColumnEmbedding
from core.engine.trained import TrainedModel, load_trained
from core.events import Checkpoint
from core.spec.layer_types import columns
from tests.core.engine.workbench import Bench, after_steps, files, last, rows

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
PREPROCESS = {"categorical": "embedding", "categories": ["floor"], "dates": "parts", "missing_indicator": True}


def visits(path: Path, random: np.random.Generator) -> list[dict[str, Any]]:
    """Whether a shop is busy: a matter of weekday and hour, of the pair of two categories, and of a gap."""
    table: list[dict[str, Any]] = []
    for _ in range(400):
        time = BEGIN + timedelta(hours=int(random.integers(0, 24 * 200)))
        town, floor = str(random.choice(["Bonn", "Kiel", "Ulm"])), int(random.choice([-1, 0, 3]))
        gap = bool(random.random() < 0.3)
        busy = (town == "Kiel") != (floor == 3) if gap else time.weekday() >= 5
        table.append(
            {
                "when": None if random.random() < 0.05 else time.isoformat().replace("+00:00", "Z"),
                "town": None if random.random() < 0.05 else town,
                "floor": floor,
                "staff": None if gap else float(random.normal()),
                "busy": "yes" if busy else "no",
            }
        )
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0].keys())
        writer.writeheader()
        writer.writerows(table)
    return table


@pytest.fixture
def shop(bench: Bench, tmp_path: Path, random: np.random.Generator) -> list[dict[str, Any]]:
    table = visits(tmp_path / "shop.csv", random)
    bench.upload("shop", tmp_path / "shop.csv", "csv")
    return [{name: value for name, value in row.items() if name != "busy"} for row in table]


def body(**preprocess: Any) -> dict[str, Any]:
    return {
        "data": {"dataset": "shop", "target": "busy", "preprocess": {**PREPROCESS, **preprocess}},
        "network": {"family": "feed_forward", "hidden": [24]},
        "optimizer": {"type": "adam", "lr": 0.02},
        "training": {"epochs": 30, "batch_size": 32},
    }


# what training never had, or nobody knows
ODD: list[dict[str, Any]] = [
    {"when": "1969-12-28T23:30:00Z", "town": "Rom", "floor": 7, "staff": None},
    {"when": None, "town": None, "floor": None, "staff": 1e3},
    {"when": "2031-02-03", "town": "Ulm", "floor": 0.5, "staff": -0.0},
    {"when": "2024-05-01T12:00:00.25+02:00", "town": "Bonn", "floor": -1, "staff": None},
]


def feed(given: list[dict[str, Any]], inputs: list[Any]) -> dict[str, np.ndarray]:
    """Rows as the graph takes them: times in seconds since 1970."""
    found = {}
    for one in inputs:
        values = [row[one.name] for row in given]
        if one.type == "tensor(string)":
            found[one.name] = np.array([[value or ""] for value in values], dtype=object)
        else:
            found[one.name] = np.array([[_number(value)] for value in values])
    return found


def _number(value: Any) -> float:
    if isinstance(value, str):
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return np.nan if value is None else float(value)


@pytest.mark.parametrize(
    "preprocess",
    [
        {},
        {"categorical": "one_hot"},
        {"scale": "none", "impute": "most_frequent", "categories": []},
        {"scale": "minmax", "impute": "constant", "fill_value": -3.0, "missing_indicator": False},
    ],
)
def test_an_onnx_graph_answers_as_the_model_does(
    bench: Bench, tmp_path: Path, shop: list[dict[str, Any]], preprocess: dict[str, Any]
) -> None:
    content, _ = files(last(bench.events({**body(**preprocess), "training": {"epochs": 3}}), Checkpoint))
    export(content, "onnx", tmp_path / "model.onnx")
    run = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    assert {one.name: one.type for one in run.get_inputs()} == {
        "when": "tensor(double)",
        "town": "tensor(string)",
        "floor": "tensor(double)",
        "staff": "tensor(double)",
    }
    model = load_trained(content)
    given = shop + ODD
    labels, shares = run.run(["label", "probabilities"], feed(given, run.get_inputs()))
    np.testing.assert_allclose(shares, model.predict(rows=given, output="probability")["data"], atol=2e-5)
    assert labels.tolist() == model.predict(rows=given)["data"]


def test_a_forecast_looks_at_times_in_onnx_too(bench: Bench, tmp_path: Path) -> None:
    lines = ["time,value,load"]
    for hour in range(200):
        load = "" if hour % 9 == 4 else f"{hour % 24}.5"
        lines.append(f"{(BEGIN + timedelta(hours=hour)).isoformat()},{np.sin(hour / 4):.5f},{load}")
    (tmp_path / "series.csv").write_text("\n".join(lines))
    bench.upload("series", tmp_path / "series.csv", "csv")
    data = {"dataset": "series", "features": ["value", "time", "load"], "window": {"length": 6, "columns": ["value"]}}
    preprocess = {"dates": "parts", "missing_indicator": True}
    events = bench.events(
        {
            "data": {**data, "preprocess": preprocess},
            "network": {"layers": [{"type": "flatten"}]},
            "training": {"epochs": 2},
        }
    )
    content, _ = files(last(events, Checkpoint))
    export(content, "onnx", tmp_path / "model.onnx")
    run, model = onnxruntime.InferenceSession(str(tmp_path / "model.onnx")), load_trained(content)
    # value, seven parts of the time, load and its indicator
    assert model.input_shape == (6, 10)
    given = bench.sets["series"].preview[20:26]
    fed = {name: values.reshape(1, 6) for name, values in feed(given, run.get_inputs()).items()}
    (forecast,) = run.run(None, fed)
    np.testing.assert_allclose(forecast.reshape(-1), np.ravel(model.predict(rows=given)["data"]), atol=1e-5)


def test_an_embedding_learns_what_the_columns_say(bench: Bench, shop: list[dict[str, Any]]) -> None:
    events = bench.events(body())
    history = rows(events)
    assert history[-1][2]["validation.accuracy"] > 0.9  # type: ignore[operator]
    model = load_trained(files(last(events, Checkpoint))[0])
    assert isinstance(model.network[0], ColumnEmbedding)
    assert [tuple(table.weight.shape) for table in model.network[0].tables] == [(4, 2), (4, 2)]  # type: ignore[arg-type]


def test_a_pause_changes_no_bit(bench: Bench, shop: list[dict[str, Any]]) -> None:
    short = {**body(), "training": {"epochs": 4, "batch_size": 32}}
    run = bench.run(short)
    whole = bench.events(short)
    first = bench.events(short, after_steps(11))
    rest = bench.resumed(run, last(first, Checkpoint))
    assert model_of(whole).keys() == model_of(rest).keys()
    for name, value in model_of(whole).items():
        assert torch.equal(value, model_of(rest)[name]), name


def model_of(events: list[Any]) -> dict[str, torch.Tensor]:
    model: TrainedModel = load_trained(files(last(events, Checkpoint))[0])
    return dict(model.network.state_dict())


def test_other_exports_hold_the_layer(bench: Bench, tmp_path: Path, shop: list[dict[str, Any]]) -> None:
    content, _ = files(last(bench.events({**body(), "training": {"epochs": 1}}), Checkpoint))
    export(content, "torch_export", tmp_path / "model.pt2")
    model, program = load_trained(content), torch.export.load(tmp_path / "model.pt2")
    x = torch.from_numpy(model.preparation.rows_to_x(shop[:7] + ODD))
    torch.testing.assert_close(program.module()(x), model.network(x))
    assert sorted(model.network.state_dict())[:2] == ["0.tables.0.weight", "0.tables.1.weight"]


def test_the_layer_is_pytorchs_embeddings_beside_the_numbers() -> None:
    layer = columns.ColumnEmbedding.model_validate(
        {
            "columns": [
                {"column": "a", "index": 2, "entries": 4, "units": 3},
                {"column": "b", "index": 0, "entries": 2, "units": 1},
            ]
        }
    )
    module = ColumnEmbedding(layer, 4)
    first, second = nn.Embedding(4, 3), nn.Embedding(2, 1)
    module.tables.load_state_dict({"0.weight": first.weight, "1.weight": second.weight})
    x = torch.tensor([[1.0, 0.5, 3.0, -2.0], [0.0, 7.0, 0.0, 1.0]])
    expected = torch.cat([x[:, [1, 3]], first(torch.tensor([3, 0])), second(torch.tensor([1, 0]))], 1)
    assert torch.equal(module(x), expected)
    assert layer.output_shape((4,)) == tuple(expected.shape[1:])
    # the vector of what training lacks begins with zeros, the others do not
    fresh = ColumnEmbedding(layer, 4)
    assert [part.weight.shape[0] for part in fresh.weights()] == [3, 1]
    assert not fresh.tables[0].weight.any()  # type: ignore[union-attr, operator]
