"""Every layer in a real run: it trains, resumes bit for bit, is served, and leaves as safetensors and ONNX."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file

from core.engine.export import export
from core.engine.network import Network, build_network
from core.engine.outputs import forward
from core.engine.run import train
from core.engine.trained import load_trained
from core.errors import Invalid
from core.events import Checkpoint, Failed, Finished, Metrics
from core.spec.layers import LAYERS
from core.spec.limits import Limits
from core.spec.plan import check_job
from tests.core.engine.test_resume import interrupted
from tests.core.engine.workbench import Bench, after_steps, files, last, rows
from tests.core.spec.minimal import minimal, shape_for

ROWS = 60


def body(bench: Bench, layers: list[dict[str, Any]], shape: tuple[int, ...], **training: Any) -> dict[str, Any]:
    """A run on random numbers of that shape whose classes can be told apart."""
    random = np.random.Generator(np.random.PCG64(5))
    y = np.arange(ROWS) % 3
    codes = layers[0]["type"] == "embedding"
    x = (
        random.integers(0, 5, (ROWS, *shape))
        if codes
        else random.normal(size=(ROWS, *shape)) + y.reshape(-1, *[1] * len(shape))
    )
    file = bench.folder / "rows.npz"
    np.savez(file, x=x, y=y)
    name = f"rows{len(bench.sets)}"
    bench.upload(name, file, "npz")
    return {
        "data": {"dataset": name, "preprocess": {"scale": "none" if codes else "standard"}},
        "network": {"layers": layers},
        "optimizer": {"type": "adam", "lr": 0.01},
        "training": {"epochs": 3, "batch_size": 16, **training},
    }


def onnx_probabilities(content: Path, out: Path, x: np.ndarray) -> np.ndarray:
    export(content, "onnx", out)
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["probabilities"], {"x": x.astype(np.float32)})[0])


# an embedding of columns stands on codes of a table alone: tests/core/engine/test_columns.py has all of this for it
@pytest.mark.parametrize("name", sorted(LAYERS.keys() - {"column_embedding"}))
def test_a_layer_trains_resumes_is_served_and_exported(bench: Bench, tmp_path: Path, name: str) -> None:
    shape = shape_for(name)
    spec = body(bench, [minimal(name), {"type": "dropout", "p": 0.1}], shape)
    straight = bench.events(spec)
    broken, stops = interrupted(bench.run(spec), np.random.Generator(np.random.PCG64(1)), most_steps=4)
    assert stops > 1
    assert rows(broken) == rows(straight)
    assert last(broken, Finished) == last(straight, Finished)
    ours, theirs = last(broken, Checkpoint), last(straight, Checkpoint)
    assert (ours.content_sha256, ours.state_sha256) == (theirs.content_sha256, theirs.state_sha256)
    losses = [event.values["train.loss"] for event in straight if isinstance(event, Metrics)]
    assert losses[-1] < losses[0]
    content, _ = files(theirs)
    model = load_trained(content)
    assert set(load_file(content)) == set(model.network.state_dict())
    x = np.load(bench.folder / "rows.npz")["x"][:7]
    served = model.predict(inputs=x.tolist(), output="probability")["data"]
    np.testing.assert_allclose(onnx_probabilities(content, tmp_path / "m.onnx", x), served, atol=1e-5)
    one = model.predict(inputs=x[:1].tolist(), output="probability")["data"]
    np.testing.assert_allclose(one, served[:1], atol=1e-6)


NETWORKS: dict[str, tuple[list[dict[str, Any]], tuple[int, ...]]] = {
    "convolutional": (
        [
            {"type": "conv2d", "channels": 4, "kernel_size": 3, "padding": "same", "stride": 2},
            {"type": "batch_norm"},
            {"type": "prelu", "per_channel": True},
            {
                "type": "residual",
                "layers": [
                    {"type": "conv2d", "channels": 8, "kernel_size": 3, "padding": 1, "stride": 2},
                    {"type": "group_norm", "groups": 4},
                ],
                "activation": "relu",
            },
            {
                "type": "parallel",
                "branches": [
                    [{"type": "conv2d", "channels": 4, "kernel_size": 1}],
                    [{"type": "max_pool2d", "kernel_size": 3, "stride": 1, "padding": 1}, {"type": "instance_norm"}],
                    [{"type": "conv_transpose2d", "channels": 2, "kernel_size": 3, "padding": "same"}],
                ],
            },
            {"type": "adaptive_avg_pool2d", "output_size": 2},
            {"type": "upsample"},
            {"type": "adaptive_max_pool2d", "output_size": [3, 2]},
            {"type": "avg_pool2d", "padding": 1},
            {"type": "global_avg_pool"},
        ],
        (2, 12, 10),
    ),
    "sequence": (
        [
            {"type": "conv1d", "channels": 8, "kernel_size": 3, "padding": "same"},
            {"type": "batch_norm"},
            {"type": "positional_encoding"},
            {
                "type": "residual",
                "layers": [{"type": "rms_norm"}, {"type": "self_attention", "heads": 2, "causal": True}],
            },
            {"type": "transformer_encoder", "layers": 2, "heads": 2, "hidden": 16, "dropout": 0.1},
            {"type": "positional_encoding", "kind": "learnt"},
            {"type": "max_pool1d"},
            {"type": "conv_transpose1d", "channels": 4, "kernel_size": 2, "stride": 2},
            {"type": "upsample", "mode": "linear"},
            {"type": "adaptive_avg_pool1d", "output_size": 5},
            {"type": "permute", "axes": [1, 0]},
            {"type": "avg_pool1d"},
            {"type": "adaptive_max_pool1d", "output_size": 2},
            {"type": "global_max_pool"},
        ],
        (9, 3),
    ),
    "codes": (
        [
            {"type": "embedding", "entries": 5, "units": 8},
            {"type": "transformer_encoder", "hidden": 8, "norm_first": True},
        ],
        (6,),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks_leave_as_torch_export_and_onnx(bench: Bench, tmp_path: Path, name: str) -> None:
    layers, shape = NETWORKS[name]
    content, _ = files(last(bench.events(body(bench, layers, shape)), Checkpoint))
    export(content, "torch_export", tmp_path / "m.pt2")
    program, model = torch.export.load(tmp_path / "m.pt2").module(), load_trained(content)
    raw = np.load(bench.folder / "rows.npz")["x"]
    for count in (1, 5):
        x = torch.from_numpy(model.preparation.inputs_to_x(raw[:count].tolist()))
        torch.testing.assert_close(program(x), model.network(x), rtol=1e-5, atol=1e-6)
    served = model.predict(inputs=raw.tolist(), output="probability")["data"]
    np.testing.assert_allclose(onnx_probabilities(content, tmp_path / "m.onnx", raw), served, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks_in_float64_and_with_another_optimizer_resume(bench: Bench, name: str) -> None:
    layers, shape = NETWORKS[name]
    spec = body(bench, layers, shape, precision="float64", batch_size=13) | {"optimizer": {"type": "muon", "lr": 0.01}}
    straight = bench.events(spec)
    broken, _ = interrupted(bench.run(spec), np.random.Generator(np.random.PCG64(2)), most_steps=5)
    assert last(broken, Checkpoint).state_sha256 == last(straight, Checkpoint).state_sha256
    assert rows(broken) == rows(straight)


def test_codes_outside_the_table_end_the_run_and_are_refused_when_served(bench: Bench) -> None:
    layers = [{"type": "embedding", "entries": 5, "units": 3}]
    spec = body(bench, layers, (6,))
    content, _ = files(last(bench.events(spec), Checkpoint))
    for wrong in ([0, 1, 2, 3, 4, 5], [0, 1, 2.5, 3, 4, 0], [0, 1, 2, -1, 4, 0]):
        with pytest.raises(Invalid) as caught:
            load_trained(content).predict(inputs=[[0, 1, 2, 3, 4, 0], wrong])
        assert [(each.pointer, each.code) for each in caught.value.errors] == [("/inputs", "unknown_code")]
        assert "of row 1" in caught.value.detail
    spec["network"] = {"layers": [{**layers[0], "entries": 4}]}
    failed = last(bench.events(spec), Failed)
    assert (failed.code, failed.pointer) == ("data_error", "/network")
    assert "from 0 to 3" in failed.detail


def test_columns_go_their_own_ways(bench: Bench) -> None:
    """Codes through an embedding, numbers past it."""
    ways = [
        [{"type": "select", "indices": [2]}, {"type": "embedding", "entries": 4, "units": 2}, {"type": "flatten"}],
        [{"type": "select", "indices": [0, 1]}, {"type": "batch_norm"}],
    ]
    random = np.random.Generator(np.random.PCG64(3))
    code = random.integers(0, 4, 200)
    x = np.column_stack([random.normal(size=(200, 2)), code])
    np.savez(bench.folder / "mixed.npz", x=x, y=(code % 2).astype(int))
    bench.upload("mixed", bench.folder / "mixed.npz", "npz")
    events = bench.events(
        {
            "data": {"dataset": "mixed", "preprocess": {"scale": "none"}},
            "network": {
                "layers": [{"type": "parallel", "branches": ways}, {"type": "linear", "units": 8}, {"type": "relu"}]
            },
            "optimizer": {"type": "adam", "lr": 0.05},
            "training": {"epochs": 10},
        }
    )
    assert last(events, Finished).metrics["test.accuracy"] == 1.0


def test_large_outputs_are_evaluated_in_pieces_that_give_the_same(bench: Bench) -> None:
    layers, shape = NETWORKS["convolutional"]
    content, _ = files(last(bench.events(body(bench, layers, shape)), Checkpoint))
    model = load_trained(content)
    network = model.network
    assert isinstance(network, Network)
    assert network.rows_at_once == 2048
    x = torch.randn(20, *shape)
    whole = forward(network, x)
    network.rows_at_once = 3
    torch.testing.assert_close(forward(network, x), whole)
    wide = [{"type": "conv2d", "channels": 64, "kernel_size": 3, "padding": 1} for _ in range(4)]
    big = bench.run(body(bench, [*wide, {"type": "global_avg_pool"}], (2, 100, 100))).spec.layered()
    assert build_network(big, (2, 100, 100), seed=0, precision="float32").rows_at_once == 26


def test_a_head_need_not_end_in_a_linear_layer(bench: Bench, tmp_path: Path) -> None:
    spec = body(bench, [{"type": "conv2d", "channels": 4, "kernel_size": 3}, {"type": "relu"}], (2, 6, 6))
    spec["network"]["head"] = [{"type": "conv2d", "channels": 3, "kernel_size": 1}, {"type": "global_avg_pool"}]
    content, _ = files(last(bench.events(spec), Checkpoint))
    x = np.load(bench.folder / "rows.npz")["x"]
    served = load_trained(content).predict(inputs=x.tolist(), output="probability")["data"]
    np.testing.assert_allclose(onnx_probabilities(content, tmp_path / "m.onnx", x), served, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "layers",
    [
        [
            {"type": "conv2d", "channels": 16, "kernel_size": 3, "padding": "same"},
            {"type": "batch_norm"},
            {"type": "relu"},
            {"type": "max_pool2d"},
            {"type": "conv2d", "channels": 32, "kernel_size": 3, "padding": "same"},
            {"type": "relu"},
            {"type": "global_avg_pool"},
        ],
        [{"type": "flatten"}, {"type": "linear", "units": 256}, {"type": "relu"}, {"type": "linear", "units": 256}],
        [
            {"type": "flatten"},
            {"type": "unflatten", "shape": [28, 28]},
            {"type": "transformer_encoder", "layers": 2, "heads": 4, "hidden": 64},
        ],
        [{"type": "flatten"}, {"type": "unflatten", "shape": [28, 28]}, {"type": "lstm", "units": 32}],
    ],
    ids=["convolutional", "linear", "transformer", "lstm"],
)
def test_the_estimate_of_time_is_of_the_right_size(bench: Bench, layers: list[dict[str, Any]]) -> None:
    """Within a factor of five on the machine at hand, the quickest of three runs counted."""
    random = np.random.Generator(np.random.PCG64(0))
    np.savez(bench.folder / "big.npz", x=random.normal(size=(3000, 1, 28, 28)), y=np.arange(3000) % 10)
    bench.upload("big", bench.folder / "big.npz", "npz")
    spec = {"data": {"dataset": "big"}, "network": {"layers": layers}, "training": {"epochs": 3, "batch_size": 64}}
    planned = check_job(spec, lambda _: bench.sets["big"].schema, Limits())
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        bench.events(spec)
        seconds.append(time.perf_counter() - start)
    assert 0.2 < min(seconds) / planned.time_estimate_s < 5, (seconds, planned.time_estimate_s)


@pytest.mark.parametrize("name", NETWORKS)
def test_two_threads_resume_bit_for_bit(bench: Bench, name: str) -> None:
    """Where a step is worth a second thread, by its operations and not by its weights."""
    layers, shape = NETWORKS[name]
    wide = {"channels": 32, "kernel_size": 5, "padding": 2}
    more = {"convolutional": {"type": "conv2d", **wide}, "sequence": {"type": "conv1d", **wide}}.get(name)
    spec = body(bench, [more, *layers] if more else layers, shape, batch_size=32)
    straight = bench.events(spec, threads=2)
    if more and name == "convolutional":
        assert torch.get_num_threads() == 2
    run = bench.run(spec, threads=2)
    stopped = last(list(train(run, after_steps(3))), Checkpoint)
    assert last(bench.resumed(run, stopped), Checkpoint).state_sha256 == last(straight, Checkpoint).state_sha256


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LAYERS.keys() - {"column_embedding"}))
def test_a_layer_leaves_as_torch_export(bench: Bench, tmp_path: Path, name: str) -> None:
    content, _ = files(last(bench.events(body(bench, [minimal(name)], shape_for(name), epochs=1)), Checkpoint))
    export(content, "torch_export", tmp_path / "m.pt2")
    program, model = torch.export.load(tmp_path / "m.pt2").module(), load_trained(content)
    raw = np.load(bench.folder / "rows.npz")["x"]
    for count in (1, 5):
        x = torch.from_numpy(model.preparation.inputs_to_x(raw[:count].tolist()))
        torch.testing.assert_close(program(x), model.network(x), rtol=1e-5, atol=1e-6)
