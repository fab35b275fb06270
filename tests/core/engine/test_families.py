"""Every family trains bit for bit as its expansion does, and resumes exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.events import Checkpoint
from core.spec.network import FAMILIES
from tests.core.engine.test_resume import assert_same_in_the_end
from tests.core.engine.workbench import Bench, last

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
}


def body(bench: Bench, tmp_path: Path, family: str) -> dict[str, Any]:
    kind, fields = CASES[family]
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
    assert CASES.keys() == FAMILIES.keys()


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
