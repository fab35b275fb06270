"""Optimizers on one network: the same start and batches for all, and exactly the steps that a job would take."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from core.engine.lab import Training, experiment
from core.spec.lab_request import plan_race, read_experiment
from core.spec.limits import Limits
from tests.core.engine.workbench import Bench, rows

BODY: dict[str, Any] = {
    "network": {"layers": [{"type": "linear", "units": 8}, {"type": "relu"}, {"type": "dropout", "p": 0.3}]},
    "data": {"dataset": "iris"},
    "batch_size": 16,
    "seed": 3,
    "steps": 14,
    "optimizers": [{"type": "adam", "lr": 0.01}, {"type": "sgd", "lr": 0.1, "momentum": 0.9}, {"type": "rmsprop"}],
}


def race(bench: Bench, **changes: Any) -> dict[str, Any]:
    body = {**BODY, **changes}
    bench.run({name: body[name] for name in ("network", "data")})  # makes the data set
    made = bench.sets[body["data"]["dataset"]]
    request = read_experiment("optimizers", body)
    plan = plan_race(request, lambda _: made.schema, Limits())  # type: ignore[arg-type]
    training = Training(plan.spec, made.schema, made.data_path)
    return experiment("optimizers", request.model_dump(mode="json"), training)


def test_each_takes_the_steps_that_a_job_would_take(bench: Bench) -> None:
    found = race(bench)
    assert found["steps_per_epoch"] == 7
    for run, optimizer in zip(found["optimizers"], BODY["optimizers"], strict=True):
        job = {
            "network": BODY["network"],
            "data": BODY["data"],
            "optimizer": optimizer,
            "training": {"epochs": 2, "batch_size": 16, "seed": 3},
            "monitor": {"every_steps": 1},
        }
        told = [values["train.loss"] for _, step, values in rows(bench.events(job)) if step % 7]
        alone = [loss for step, loss in enumerate(run["loss"], 1) if step % 7]
        np.testing.assert_allclose(alone, told, rtol=1e-6)


def test_all_begin_at_the_same_point(bench: Bench) -> None:
    found = race(bench)
    first = [run["loss"][0] for run in found["optimizers"]]
    assert len(set(first)) == 1
    starts = [run["path"][0] for run in found["optimizers"]]
    assert starts[0] == starts[1] == starts[2]
    ends = [tuple(run["path"][-1]) for run in found["optimizers"]]
    assert len(set(ends)) == 3
    assert {"validation.loss", "validation.accuracy"} <= found["optimizers"][0]["figures"].keys()


def test_the_plane_keeps_distances_that_lie_in_it(bench: Bench) -> None:
    """Of two paths with few points nearly all lies in two components; the loss there is that of the network."""
    found = race(bench, steps=3, optimizers=[{"type": "sgd", "lr": 0.05}, {"type": "adam", "lr": 0.05}])
    plane = found["plane"]
    assert sum(plane["explained"]) <= 1 + 1e-9
    assert plane["explained"][0] >= plane["explained"][1] > 0
    assert np.isfinite(plane["grid"]["loss"]).all()
    assert np.shape(plane["grid"]["loss"]) == (25, 25)
    points = np.array([point for run in found["optimizers"] for point in run["path"]])
    assert points[:, 0].min() > min(plane["grid"]["x"])
    assert points[:, 1].max() < max(plane["grid"]["y"])


def test_one_that_diverges_leaves_the_plane_to_the_others(bench: Bench) -> None:
    found = race(bench, optimizers=[{"type": "sgd", "lr": 1e9}, {"type": "sgd", "lr": 0.05}], steps=30)
    bold, calm = found["optimizers"]
    assert bold["diverged"]
    assert found["non_finite"] == [bold["name"]]
    assert len(bold["path"]) == 1
    assert np.abs(calm["path"]).max() < 10
    json.dumps(found, allow_nan=False)


def test_no_surface_where_statistics_belong_to_the_weights(bench: Bench) -> None:
    layers = [{"type": "linear", "units": 8}, {"type": "batch_norm"}, {"type": "relu"}]
    found = race(bench, network={"layers": layers})
    assert found["plane"]["grid"] is None
    assert race(bench, plane=False)["plane"] is None


@pytest.mark.parametrize("optimizer", ["muon", "lbfgs"])
def test_matrices_and_several_evaluations_a_step(bench: Bench, optimizer: str) -> None:
    (run,) = race(bench, optimizers=[optimizer], batch_size="full", network={"layers": []}, steps=5)["optimizers"]
    assert len(run["loss"]) == 5
    assert run["final_loss"] < run["loss"][0]


def test_the_same_race_gives_the_same_answer(bench: Bench) -> None:
    assert race(bench) == race(bench)
