"""Networks that draw numbers or take first values from the data, stopped and resumed: the same bytes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.engine.test_resume import HARD, assert_same_in_the_end
from tests.core.engine.workbench import Bench

NETWORKS: dict[str, list[dict[str, Any]]] = {
    "noise": [
        {"type": "noise", "kind": kind, "std": 0.2, "p": 0.2}
        for kind in ("additive", "multiplicative", "masking", "salt_and_pepper")
    ],
    "latent": [{"type": "linear", "units": 6}, {"type": "tanh"}, {"type": "latent", "units": 3}],
    "regularizer": [
        {"type": "linear", "units": 6},
        {"type": "sigmoid"},
        {"type": "activity_regularizer", "l1": 0.01, "kl": 0.01},
    ],
    "rbf": [{"type": "noise"}, {"type": "rbf", "units": 6, "centres": "learnt"}],
    "rbf_data": [{"type": "rbf", "units": 6}, {"type": "dropout", "p": 0.1}],
}
for _kind in ("rnn", "lstm", "gru"):
    NETWORKS[_kind] = [
        {"type": "unflatten", "shape": [2, 1]},
        {"type": _kind, "units": 3, "layers": 2, "bidirectional": True, "dropout": 0.3, "output": "all"},
        {"type": "flatten"},
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_resume_is_exact(bench: Bench, name: str) -> None:
    training = {"epochs": 4, "batch_size": 16, "early_stopping": {"patience": 4}}
    assert_same_in_the_end(bench, HARD | {"network": {"layers": NETWORKS[name]}, "training": training})
