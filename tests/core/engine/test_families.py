"""Every family trains bit for bit as its expansion does, resumes exactly, is read back and leaves as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from core.engine.export import export
from core.engine.trained import load_trained
from core.events import Checkpoint
from core.spec.network import FAMILIES
from tests.core.engine.test_resume import assert_same_in_the_end
from tests.core.engine.workbench import Bench, files, last

pytestmark = pytest.mark.usefixtures("asked_before_every_step")

SHAPES = {"flat": (6,), "sequences": (7, 2), "images": (1, 6, 7)}
# what each is tried with, and on which data
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("flat", {}),
    "perceptron": ("flat", {}),
    "feed_forward": ("flat", {"dropout": 0.2, "batch_norm": True}),
    "deep_feed_forward": ("images", {"hidden": [8, 8], "dropout": 0.2}),
    "rbf": ("flat", {"hidden": [5], "centres": "learnt"}),
    "rnn": ("sequences", {"hidden": [4, 3], "bidirectional": True, "dropout": 0.3}),
    "lstm": ("sequences", {"hidden": [4], "dropout": 0.3}),
    "gru": ("sequences", {"hidden": [4, 3]}),
    "autoencoder": ("flat", {"hidden": [5], "latent": 2, "dropout": 0.1}),
    "variational_autoencoder": ("images", {"hidden": [8], "latent": 2}),
    "denoising_autoencoder": ("flat", {"hidden": [5], "noise": "masking"}),
    "sparse_autoencoder": ("sequences", {"latent": 9}),
    "convolutional": ("images", {"channels": [3, 4], "hidden": [5], "dropout": 0.1}),
    "residual": ("sequences", {"channels": [3, 4], "dropout": 0.1}),
    "transformer": ("sequences", {"units": 8, "heads": 2, "hidden": 8}),
    # on other shapes
    "convolutional/sequences": ("sequences", {"channels": [4, 3]}),
    "residual/flat": ("flat", {"hidden": [6, 5], "dropout": 0.1}),
    "residual/images": ("images", {"channels": [3, 4]}),
    "autoencoder/images": ("images", {"channels": [3, 4], "latent": 2, "batch_norm": True}),
    "variational_autoencoder/sequences": ("sequences", {"channels": [4], "latent": 2}),
}


def family_of(case: str) -> str:
    return case.partition("/")[0]


def body(bench: Bench, tmp_path: Path, family: str) -> dict[str, Any]:
    kind, fields = CASES[family]
    family = family_of(family)
    random = np.random.Generator(np.random.PCG64(3))
    y = np.arange(72) % 3
    x = random.normal(size=(72, *SHAPES[kind])) + y.reshape(-1, *[1] * len(SHAPES[kind]))
    np.savez(tmp_path / f"{kind}.npz", x=x.astype(np.float32), y=y)
    bench.upload(kind, tmp_path / f"{kind}.npz", "npz")
    return {
        "data": {"dataset": kind},
        "network": {"family": family, **fields},
        "optimizer": {"type": "adam", "lr": 0.01},
        "training": {"epochs": 3, "batch_size": 16, "seed": 5},
    }


def test_every_family_is_tried() -> None:
    assert {family_of(case) for case in CASES} == FAMILIES.keys()


@pytest.mark.parametrize("family", CASES)
def test_a_family_trains_as_its_expansion_does(bench: Bench, tmp_path: Path, family: str) -> None:
    sent = body(bench, tmp_path, family)
    expansion = bench.run(sent).spec.model_dump(mode="json")
    assert expansion["network"]["family"] is None
    whole, parts = last(bench.events(sent), Checkpoint), last(bench.events(expansion), Checkpoint)
    assert whole.content_sha256 == parts.content_sha256
    assert whole.state_sha256 == parts.state_sha256


@pytest.mark.parametrize("family", CASES)
def test_resume_is_exact(bench: Bench, tmp_path: Path, family: str) -> None:
    sent = body(bench, tmp_path, family)
    assert_same_in_the_end(bench, sent | {"training": {"epochs": 5, "batch_size": 16}})


@pytest.mark.parametrize("family", CASES)
def test_a_trained_family_is_read_back_and_leaves_as_onnx(bench: Bench, tmp_path: Path, family: str) -> None:
    sent = body(bench, tmp_path, family)
    content, _ = files(last(bench.events(sent), Checkpoint))
    model = load_trained(content)
    x = np.random.Generator(np.random.PCG64(4)).normal(size=(5, *SHAPES[CASES[family][0]])).astype(np.float32)
    output = "reconstruction" if FAMILIES[family_of(family)].reproduces else "probability"
    expected = np.array(model.predict(inputs=x.tolist(), output=output)["data"])
    code = np.array(model.predict(inputs=x.tolist(), output="encoding")["data"]) if model.encoding is not None else None

    export(content, "onnx", tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    name = "reconstruction" if FAMILIES[family_of(family)].reproduces else "probabilities"
    np.testing.assert_allclose(session.run([name], {"x": x})[0], expected, rtol=1e-4, atol=1e-5)
    if FAMILIES[family_of(family)].reproduces:
        np.testing.assert_allclose(session.run(["encoding"], {"x": x})[0], code, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The tensor attributes:UserWarning")
@pytest.mark.parametrize(
    "family",
    [name if name == "variational_autoencoder" else pytest.param(name, marks=pytest.mark.slow) for name in CASES],
)
def test_a_trained_family_leaves_as_a_program(bench: Bench, tmp_path: Path, family: str) -> None:
    content, _ = files(last(bench.events(body(bench, tmp_path, family)), Checkpoint))
    model = load_trained(content)
    x = torch.randn(5, *SHAPES[CASES[family][0]])
    export(content, "torch_export", tmp_path / "model.pt2")
    outputs = torch.export.load(tmp_path / "model.pt2").module()(x)
    if FAMILIES[family_of(family)].reproduces:
        outputs, code = outputs
        torch.testing.assert_close(code, model.encode(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(outputs, model.network(x), rtol=1e-4, atol=1e-5)
