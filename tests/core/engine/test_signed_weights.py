"""Events of negative weight, as simulations of next-to-leading order give them: loss, figures, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.prepare import prepare
from core.events import Failed, Finished, Metrics, Warned
from tests.core.engine.workbench import Bench, last, rows

BODY: dict[str, Any] = {
    "data": {
        "dataset": "events",
        "weight": "weight",
        "split": {"validation": 0.0, "test": 0.25},
        "preprocess": {"scale": "none"},
    },
    "network": {"layers": []},
    "optimizer": {"type": "sgd", "lr": 0.05},
    "training": {"epochs": 60, "batch_size": 16, "precision": "float64"},
    "metrics": ["mape"],
}


def uploaded(bench: Bench, w: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
    """400 rows of two features under the name `events`; the features."""
    random = np.random.default_rng(3)
    x = random.normal(size=(400, 2))
    if y is None:
        y = x @ [1.5, -0.5] + 0.25 + 0.3 * random.normal(size=400)
    np.savez(bench.folder / "events.npz", x=x, y=y, weight=w)
    bench.upload("events", bench.folder / "events.npz", "npz")
    return x


def signed(share: float) -> np.ndarray:
    random = np.random.default_rng(4)
    return np.asarray(random.gamma(2.0, size=400) * np.where(random.random(400) < share, -1, 1))


def test_a_run_finds_the_signed_least_squares(bench: Bench) -> None:
    """Mini-batches whose own weights may cancel lead to the minimum of the whole part's weighted mean square."""
    uploaded(bench, signed(0.2))
    body = BODY | {"optimizer": {"type": "sgd", "lr": 0.02}, "schedule": {"type": "cosine"}}
    run = bench.run(body)
    events = bench.events(body)
    from_file = np.load(bench.folder / "events.npz")
    prepared = prepare(run.spec, run.schema, run.data_path)
    x, y, w = (from_file[name][prepared.train] for name in ("x", "y", "weight"))
    design = np.c_[x, np.ones(len(x))]
    best = np.linalg.solve((design.T * w) @ design, (design.T * w) @ y)
    least = w @ np.square(y - design @ best) / w.sum()
    found = rows(events)[-1][2]["train.loss"]
    assert found == pytest.approx(least, rel=0.02)
    warned = [event for event in events if isinstance(event, Warned) and event.code == "negative_weights"]
    assert len(warned) == 1
    assert f"{(w < 0).mean():.1%} of the training rows" in warned[0].detail


def test_a_finite_run_with_cancelling_batches(bench: Bench) -> None:
    """Every batch of two sums to nothing but the whole does not: no division by it, every row finite."""
    w = np.tile([1.0, -1.0], 200)
    w[::10] = 4.0
    uploaded(bench, w)
    body = BODY | {"training": {"epochs": 3, "batch_size": 2, "shuffle": False}, "optimizer": {"lr": 0.001}}
    events = bench.events(body)
    assert isinstance(events[-1], Finished)
    assert all(not event.non_finite for event in events if isinstance(event, Metrics))


def test_weights_that_sum_to_nothing_are_refused(bench: Bench) -> None:
    uploaded(bench, -np.ones(400))
    failed = last(bench.events(BODY), Failed)
    assert (failed.code, failed.pointer) == ("data_error", "/data/weight")
    assert "training rows' weights sum to -300, expected a sum above 0" in failed.detail


def test_balanced_classes_need_a_sum_above_zero_each(bench: Bench) -> None:
    y = np.tile([0, 1], 200)
    uploaded(bench, np.where(y == 1, 3.0, -1.0), y)
    body = BODY | {"loss": {"class_weight": "balanced"}, "metrics": []}
    failed = last(bench.events(body), Failed)
    assert (failed.code, failed.pointer) == ("data_error", "/loss/class_weight")
    assert "class 0 sum to -" in failed.detail


def test_a_loss_that_falls_below_zero_is_told(bench: Bench) -> None:
    """The far events count negative: the farther off they are predicted, the lower the loss, without end."""
    random = np.random.default_rng(3)
    x = random.normal(size=(400, 2))
    w = np.where(np.abs(x).max(1) > 1.5, -1.0, 1.0)
    uploaded(bench, w)
    events = bench.events(BODY | {"optimizer": {"type": "sgd", "lr": 0.5}, "training": {"epochs": 40}})
    told = [event for event in events if isinstance(event, Warned) and event.code == "negative_loss"]
    assert len(told) == 1
    assert told[0].pointer == "/data/weight"
    assert isinstance(events[-1], Failed) or last(events, Metrics).values["train.loss"] < 0


def test_weights_of_one_sign_divide_as_ever(bench: Bench, tmp_path: Path) -> None:
    """Weights from 0 up take the path that they always took: a batch's loss is over its own weights."""
    uploaded(bench, np.abs(signed(0.2)))
    events = bench.events(BODY)
    assert not [event for event in events if isinstance(event, Warned)]
    assert isinstance(events[-1], Finished)
