"""Exports against the network itself: ONNX in onnxruntime from raw columns, safetensors, torch.export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from core.data.derive import evaluate
from core.engine.export import export
from core.engine.onnx_derive import expression as expression_nodes
from core.engine.onnx_nodes import Nodes
from core.engine.trained import load_trained
from core.events import Checkpoint
from core.spec.expressions import FUNCTIONS, parse_expression
from tests.core.engine.test_trained import PEOPLE, people
from tests.core.engine.workbench import Bench, files, last


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def columns(rows: list[dict[str, Any]], inputs: list[Any]) -> dict[str, np.ndarray]:
    """Rows as the graph takes them: a missing number is NaN, a missing text is empty."""
    feed = {}
    for given in inputs:
        if given.type == "tensor(string)":
            feed[given.name] = np.array([[row[given.name] or ""] for row in rows], dtype=object)
        else:
            values = [row[given.name] for row in rows]
            feed[given.name] = np.array([[np.nan if value is None else float(value)] for value in values])
    return feed


def test_a_table_goes_in_raw_and_comes_out_as_labels(bench: Bench, tmp_path: Path, random: np.random.Generator) -> None:
    rows = people(tmp_path / "people.csv", random)
    bench.upload("people", tmp_path / "people.csv", "csv")
    content, _ = files(last(bench.events(PEOPLE), Checkpoint))
    out = tmp_path / "model.onnx"
    export(content, "onnx", out)
    model, run = load_trained(content), session(out)
    labels, shares = run.run(["label", "probabilities"], columns(rows, run.get_inputs()))
    assert labels.tolist() == model.predict(rows=rows)["data"]
    np.testing.assert_allclose(shares, model.predict(rows=rows, output="probability")["data"], atol=1e-5)
    meta = json.loads(run.get_modelmeta().custom_metadata_map["netmill"])
    assert meta["spec"]["network"]["layers"][0]["type"] == "linear"
    assert meta["preparation"]["features"]


def test_products_of_columns_are_the_same_in_onnx(bench: Bench, tmp_path: Path) -> None:
    body = {
        "data": {"dataset": "wine", "polynomial": {"degree": 2}},
        "network": {"family": "linear"},
        "training": {"epochs": 2},
    }
    content, _ = files(last(bench.events(body), Checkpoint))
    export(content, "onnx", tmp_path / "model.onnx")
    run, model, rows = session(tmp_path / "model.onnx"), load_trained(content), bench.sets["wine"].preview
    assert len(run.get_inputs()) == 13
    shares = run.run(["probabilities"], columns(rows, run.get_inputs()))[0]
    np.testing.assert_allclose(shares, model.predict(rows=rows, output="probability")["data"], atol=1e-5)


@pytest.mark.parametrize(
    ("dataset", "body"),
    [
        ("digits", {"network": {"layers": [{"type": "linear", "units": 8}, {"type": "gelu"}, {"type": "layer_norm"}]}}),
        (
            "diabetes",
            {
                "network": {"layers": [{"type": "linear", "units": 8}, {"type": "swish", "learnable": True}]},
                "training": {"precision": "float64"},
            },
        ),
    ],
)
def test_numbers_and_integer_classes(bench: Bench, tmp_path: Path, dataset: str, body: dict[str, Any]) -> None:
    scale = {"target_scale": "standard"} if dataset == "diabetes" else {}
    events = bench.events({"data": {"dataset": dataset, "preprocess": scale}} | body)
    content, _ = files(last(events, Checkpoint))
    export(content, "onnx", tmp_path / "model.onnx")
    run, model, rows = session(tmp_path / "model.onnx"), load_trained(content), bench.sets[dataset].preview
    first = run.run(None, columns(rows, run.get_inputs()))[0]
    expected = model.predict(rows=rows)["data"]
    if dataset == "digits":
        assert first.tolist() == expected
    else:
        np.testing.assert_allclose(first[:, 0], expected, rtol=1e-4)


def test_arrays_go_in_as_they_are(bench: Bench, tmp_path: Path, random: np.random.Generator) -> None:
    x = random.normal(size=(60, 2, 3, 3)) * 5 + 3
    x[4, 1, 0, 2] = np.nan
    np.savez(tmp_path / "images.npz", x=x, y=np.arange(60) % 3)
    bench.upload("images", tmp_path / "images.npz", "npz")
    layers = [{"type": "batch_norm"}, {"type": "flatten"}, {"type": "linear", "units": 4}, {"type": "mish"}]
    body = {"data": {"dataset": "images"}, "network": {"layers": layers}, "training": {"epochs": 2}}
    content, _ = files(last(bench.events(body), Checkpoint))
    export(content, "onnx", tmp_path / "model.onnx")
    shares = session(tmp_path / "model.onnx").run(["probabilities"], {"x": x.astype(np.float32)})[0]
    nulls = [json.loads(json.dumps(row).replace("NaN", "null")) for row in x.tolist()]
    expected = load_trained(content).predict(inputs=nulls, output="probability")["data"]
    np.testing.assert_allclose(shares, expected, atol=1e-5)


def test_safetensors_are_the_content_and_torch_export_runs(bench: Bench, tmp_path: Path) -> None:
    body = {"data": {"dataset": "iris"}, "network": {"family": "feed_forward", "hidden": [4]}}
    content, _ = files(last(bench.events(body), Checkpoint))
    export(content, "safetensors", tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == content.read_bytes()
    export(content, "torch_export", tmp_path / "a.pt2")
    extra = {"netmill.json": ""}
    program = torch.export.load(tmp_path / "a.pt2", extra_files=extra)
    model = load_trained(content)
    x = torch.randn(5, 4)
    torch.testing.assert_close(program.module()(x), model.network(x))
    assert json.loads(extra["netmill.json"])["classes"] == ["setosa", "versicolor", "virginica"]


ARGUMENTS = {1: "(a)", 2: "(a, b)", 3: "(a > 0, b, a)"}
OWN_ARGUMENTS = {"clip": "(a, -1, b)"}
TEXTS = [f"{name}{OWN_ARGUMENTS.get(name, ARGUMENTS[least])}" for name, (least, _) in FUNCTIONS.items()]
TEXTS += [f"a {op} b" for op in ("+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!=")]
TEXTS += ["-a ** 2 + pi", "max(a, b, 1)", "atan2(-1 - abs(a), b)", "atan2(0 * abs(a), b)"]
TEXTS += [
    "mod(a * 5 + pi, 2 * pi) - pi",
    "asin(tanh(a))",
    "acos(tanh(b))",
    "acosh(1 + a * a)",
    "atanh(a / 9)",
    "mod(a, -b)",
]


@pytest.mark.parametrize("text", TEXTS)
def test_derived_columns_are_the_same_in_onnx(text: str, random: np.random.Generator) -> None:
    a, b = random.normal(size=50) * 2, random.normal(size=50) * 2
    a[:2] = np.nan, 0.0
    b[2:5] = np.nan, 0.0, a[4]
    expression = parse_expression(text)
    nodes = Nodes("t")
    nodes.rename(expression_nodes(nodes, expression, {"a": "a", "b": "b"}), "out")
    double = TensorProto.DOUBLE
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes.nodes,
        "derived",
        [value("a", double, ["N"]), value("b", double, ["N"])],
        [value("out", double, ["N"])],
        nodes.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    run = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    out = run.run(None, {"a": a, "b": b})[0]
    np.testing.assert_allclose(out, evaluate(expression, {"a": a, "b": b}, 50), rtol=2e-6, atol=1e-12)


@pytest.mark.parametrize("task", ["classification", "regression", "reconstruction"])
def test_a_column_may_be_called_as_a_value_of_the_graph(
    bench: Bench, tmp_path: Path, random: np.random.Generator, task: str
) -> None:
    names = ["label", "probabilities", "prediction", "reconstruction", "outputs", "prepared", "0.weight", "prepare_0"]
    table = random.normal(size=(60, len(names)))
    rows = [dict(zip(names, row, strict=True)) for row in table.tolist()]
    lines = [
        ",".join([*names, "y"]),
        *(",".join([*map(str, row), "ab"[i % 2]]) for i, row in enumerate(table.tolist())),
    ]
    (tmp_path / "names.csv").write_text("\n".join(lines))
    bench.upload("names", tmp_path / "names.csv", "csv")
    target = {"classification": "y", "regression": "prepare_0", "reconstruction": None}[task]
    features = [name for name in names if name != target]
    body = {
        "data": {"dataset": "names", "target": target, "features": features},
        "network": {"layers": [{"type": "linear", "units": 4}]},
        "training": {"epochs": 1},
    }
    content, _ = files(last(bench.events(body), Checkpoint))
    export(content, "onnx", tmp_path / "model.onnx")
    model, run = load_trained(content), session(tmp_path / "model.onnx")
    assert [given.name for given in run.get_inputs()] == features
    outputs = run.run(None, columns(rows, run.get_inputs()))
    # a reconstruction gives its code last
    numbers = outputs[0] if task == "reconstruction" else outputs[-1]
    expected = model.predict(rows=rows, output="probability" if task == "classification" else "prediction")["data"]
    if task == "reconstruction":
        expected = [list(row.values()) for row in expected]
    np.testing.assert_allclose(numbers.reshape(np.shape(expected)), expected, atol=1e-5)
