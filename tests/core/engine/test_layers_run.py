"""Every layer in a real run: it trains, resumes bit for bit, is served, and leaves as safetensors and ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file

from core.engine.export import export
from core.engine.trained import load_trained
from core.events import Checkpoint, Finished, Metrics
from core.spec.layers import LAYERS
from tests.core.engine.test_resume import interrupted
from tests.core.engine.workbench import Bench, files, last, rows
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
    bench.upload("rows", file, "npz")
    return {
        "data": {"dataset": "rows", "preprocess": {"scale": "none" if codes else "standard"}},
        "network": {"layers": layers},
        "optimizer": {"type": "adam", "lr": 0.01},
        "training": {"epochs": 3, "batch_size": 16, **training},
    }


def onnx_probabilities(content: Path, out: Path, x: np.ndarray) -> np.ndarray:
    export(content, "onnx", out)
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["probabilities"], {"x": x.astype(np.float32)})[0])


@pytest.mark.parametrize("name", sorted(LAYERS))
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
