"""What a run tells: order of events, figures, failures; and that it is the same every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score
from torch import nn

from core.engine import run as run_module
from core.engine.run import train
from core.events import Checkpoint, Event, Failed, Finished, Metrics, Progress, Started, Stopped, to_line
from core.states import StopReason
from tests.core.engine.workbench import Bench, after_steps, last, never, rows

pytestmark = pytest.mark.usefixtures("asked_before_every_step")

DIGITS: dict[str, Any] = {
    "data": {"dataset": "digits"},
    "network": {"layers": [{"type": "linear", "units": 32, "init": {"type": "he"}}, {"type": "relu"}]},
    "training": {"epochs": 4},
}


def test_the_story_of_a_run(bench: Bench) -> None:
    events = bench.events(DIGITS)
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert (started.steps_per_epoch, started.total_steps, started.resume_exact) == (40, 160, True)
    assert [(epoch, step) for epoch, step, _ in rows(events)] == [(1, 40), (2, 80), (3, 120), (4, 160)]
    names = {"train.loss", "train.accuracy", "validation.loss", "validation.accuracy", "lr"}
    assert all(values.keys() == names for _, _, values in rows(events))
    assert last(events, Progress) == Progress(4, 4, 160, 160, 0.0, last(events, Progress).samples_per_s)
    assert last(events, Checkpoint).step == 160
    assert finished.metrics["test.accuracy"] > 0.8
    assert finished.best_epoch == 4
    assert all(json.loads(to_line("job_1", event)) for event in events)


def test_the_same_run_gives_the_same_bytes(bench: Bench) -> None:
    first, second = (last(bench.events(DIGITS | {"name": name}), Checkpoint) for name in ("a", "b"))
    assert (first.content_sha256, first.state_sha256) == (second.content_sha256, second.state_sha256)
    other = DIGITS | {"training": {"epochs": 4, "seed": 1}}
    assert last(bench.events(other), Checkpoint).content_sha256 != first.content_sha256


def test_nothing_outside_a_run_moves_its_numbers(bench: Bench) -> None:
    body = DIGITS | {"network": {"layers": [{"type": "linear", "units": 8}, {"type": "dropout"}]}}
    expected = last(bench.events(body), Checkpoint).content_sha256
    torch.manual_seed(99)
    np.random.default_rng()
    assert last(bench.events(body), Checkpoint).content_sha256 == expected


def test_a_checkpoint_is_loaded_by_a_plain_sequential(bench: Bench) -> None:
    layers = [{"type": "linear", "units": 32}, {"type": "batch_norm"}, {"type": "relu"}]
    events = bench.events(DIGITS | {"network": {"layers": layers}})
    tensors = load_file(last(events, Checkpoint).content_path)
    plain = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    plain.load_state_dict(tensors)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        name: tuple(tensor.shape) for name, tensor in plain.state_dict().items()
    }
    assert tensors["1.num_batches_tracked"] == 160


def test_the_rows_figures_are_those_of_the_network(bench: Bench) -> None:
    body = {"data": {"dataset": "breast_cancer"}, "network": {"layers": []}, "training": {"epochs": 2}}
    run = bench.run(body)
    prepared = run_module.assemble(run.spec, run.schema, run.data_path, torch.device("cpu"), 1)
    events = list(train(run, never))
    plain = nn.Sequential(nn.Linear(30, 1))
    plain.load_state_dict(load_file(last(events, Checkpoint).content_path))
    assert prepared.validation is not None
    with torch.no_grad():
        z = plain(prepared.validation.x)
    y = torch.from_numpy(prepared.validation.y)
    values = last(events, Metrics).values
    loss = nn.functional.binary_cross_entropy_with_logits(z[:, 0], y.float())
    assert values["validation.loss"] == pytest.approx(float(loss), rel=1e-6)
    assert values["validation.accuracy"] == pytest.approx(float(((z[:, 0] > 0) == (y == 1)).double().mean()))
    assert values["validation.auc"] == pytest.approx(roc_auc_score(y, z[:, 0]))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_is_a_plain_pytorch_loop(bench: Bench, optimizer: str) -> None:
    """The same order, batches and first values through nn.Sequential, autograd and torch.optim."""
    body = DIGITS | {"optimizer": {"type": optimizer, "lr": 0.01}, "training": {"epochs": 2, "batch_size": 100}}
    run = bench.run(body)
    a = run_module.assemble(run.spec, run.schema, run.data_path, torch.device("cpu"), 1)
    plain = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    plain.load_state_dict(a.network.state_dict())
    reference: Any = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](plain.parameters(), lr=0.01)
    losses = []
    for _ in range(2):
        order = a.order()
        for batch in order.split(100):
            reference.zero_grad()
            loss = nn.functional.cross_entropy(plain(a.train.x[batch]), a.train.target[batch])
            loss.backward()
            reference.step()
            losses.append(loss.item() * len(batch))
            a.step += 1
    events = list(train(run, never))
    tensors = load_file(last(events, Checkpoint).content_path)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(tensors[name], tensor, rtol=1e-4, atol=1e-6)
    per_epoch = [sum(part) / len(a.train) for part in (losses[: len(losses) // 2], losses[len(losses) // 2 :])]
    assert [values["train.loss"] for _, _, values in rows(events)] == pytest.approx(per_epoch, rel=1e-5)


def test_a_stop_is_obeyed_before_the_next_step_and_keeps_the_work(bench: Bench) -> None:
    events = bench.events(DIGITS, after_steps(53, StopReason.CANCEL))
    assert events[-1] == Stopped("cancel", 1, 53)
    checkpoint = last(events, Checkpoint)
    assert (checkpoint.step, checkpoint.end_of_epoch) == (53, False)
    assert events.index(checkpoint) < len(events) - 1


def test_rows_within_an_epoch(bench: Bench) -> None:
    events = bench.events(DIGITS | {"monitor": {"every_steps": 15}, "training": {"epochs": 2}})
    assert [step for _, step, _ in rows(events)] == [15, 30, 40, 45, 60, 75, 80]
    within, whole = rows(events)[0][2], rows(events)[2][2]
    assert within.keys() == {"train.loss", "train.accuracy", "lr"}
    assert within["train.loss"] > whole["train.loss"]


def diverging(bench: Bench, **changes: Any) -> list[Event]:
    body = {
        "data": {"dataset": "diabetes"},
        "network": {"layers": [{"type": "linear", "units": 16}]},
        "optimizer": {"type": "sgd", "lr": 2e-5},
        "schedule": {"type": "constant"},
        "training": {"epochs": 30},
    }
    return bench.events(body | changes)


def test_a_diverging_run_says_so_and_keeps_the_last_finite_state(bench: Bench) -> None:
    events = diverging(bench, optimizer={"type": "sgd", "lr": 0.01})
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert (failed.code, failed.pointer) == ("diverged", "/optimizer/lr")
    assert failed.hint
    row = last(events, Metrics)
    assert row.epoch == failed.epoch
    assert row.values["train.loss"] is None
    assert "train.loss" in row.non_finite
    # where it stands is told whenever it fails, not only where the clock had it told
    assert last(events, Progress).step == row.step
    for checkpoint in (event for event in events if isinstance(event, Checkpoint)):
        assert all(torch.isfinite(tensor).all() for tensor in load_file(checkpoint.content_path).values())
    if failed.epoch and failed.epoch > 1:
        assert last(events, Checkpoint).epoch == failed.epoch - 1


def test_a_stop_writes_down_no_state_that_is_not_finite(bench: Bench) -> None:
    body = {"data": {"dataset": "diabetes"}, "network": {"family": "feed_forward", "hidden": [8]}, "task": "regression"}
    body |= {"optimizer": {"type": "sgd", "lr": 1e12}, "training": {"epochs": 2, "batch_size": 16}}
    # all within the first window, whose loss nobody has looked at yet
    events = list(train(bench.run(body), after_steps(8)))
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "diverged"
    assert not [event for event in events if isinstance(event, Checkpoint)]


def test_a_run_that_diverges_late_keeps_the_epoch_before(bench: Bench) -> None:
    # the rate climbs slowly to where it is too large
    schedule = {"type": "constant", "warmup_steps": 250}
    events = diverging(bench, optimizer={"type": "sgd", "lr": 0.02}, schedule=schedule)
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "diverged"
    assert failed.epoch is not None
    assert failed.epoch > 1
    assert last(events, Checkpoint).epoch == failed.epoch - 1


def test_bad_data_passes_through(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("a,y\n" + "\n".join(f"{10 - i},{i % 2}" for i in range(40)))
    bench.upload("bad", path, "csv")
    body = {"data": {"dataset": "bad", "target": "y", "derive": {"b": "log(a)"}}, "network": {"family": "linear"}}
    events = bench.events(body)
    assert len(events) == 1
    failed = events[0]
    assert isinstance(failed, Failed)
    assert (failed.code, failed.pointer) == ("data_error", "/data/derive/b")


@pytest.mark.parametrize("fault", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_out_of_memory_is_explained(bench: Bench, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(run_module, "assemble", refuse)
    (failed,) = bench.events(DIGITS)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.pointer) == ("out_of_memory", "/training/batch_size")


def test_a_fault_of_ours_is_raised(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(run_module, "assemble", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        bench.events(DIGITS)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(bench: Bench) -> None:
    (failed,) = bench.events(DIGITS | {"training": {"device": "cuda"}})
    assert isinstance(failed, Failed)
    assert failed.pointer == "/training/device"


def test_a_last_batch_of_one_row_joins_the_one_before_under_batch_norm(bench: Bench) -> None:
    body = {
        "data": {"dataset": "moons", "parameters": {"rows": 41}, "split": {"validation": 0.0, "test": 0.0}},
        "network": {"layers": [{"type": "linear", "units": 4}, {"type": "batch_norm"}]},
        "training": {"epochs": 2, "batch_size": 8},
    }
    events = bench.events(body)
    assert events[0].steps_per_epoch == 5
    assert isinstance(events[-1], Finished)


def test_without_validation_and_test_the_training_loss_decides(bench: Bench) -> None:
    body = DIGITS | {"data": {"dataset": "digits", "split": {"validation": 0.0, "test": 0.0}}}
    events = bench.events(body)
    checkpoint, finished = last(events, Checkpoint), last(events, Finished)
    assert checkpoint.monitor == "train.loss"
    assert checkpoint.is_best
    assert finished.metrics == {}
    assert finished.best_epoch == 4


def test_early_stopping_gives_the_best_weights(bench: Bench) -> None:
    body = {
        "data": {"dataset": "moons", "parameters": {"rows": 120, "noise": 0.4}},
        "network": {"layers": [{"type": "linear", "units": 64}, {"type": "relu"}]},
        "optimizer": {"type": "adam", "lr": 0.05},
        "training": {"epochs": 300, "early_stopping": {"patience": 5, "monitor": "validation.loss"}},
    }
    events = bench.events(body)
    finished = last(events, Finished)
    history = [values["validation.loss"] for _, _, values in rows(events)]
    assert finished.early_stopped
    assert finished.best_epoch == int(np.argmin(history)) + 1
    assert len(history) == finished.best_epoch + 5
    best = [event for event in events if isinstance(event, Checkpoint) and event.is_best][-1]
    assert (best.epoch, best.monitor_value) == (finished.best_epoch, min(history))


def test_every_checkpoint_is_written_when_several_are_kept(bench: Bench) -> None:
    body = DIGITS | {"checkpoints": {"keep_last": 3, "every_epochs": 2, "keep_best": False}, "training": {"epochs": 6}}
    events = bench.events(body)
    assert [event.epoch for event in events if isinstance(event, Checkpoint)] == [2, 4, 6]


def test_event_weights_count_in_loss_and_metrics(bench: Bench, tmp_path: Path, random: np.random.Generator) -> None:
    """A row of weight 2 is a row that stands there twice."""
    x, weight = random.normal(size=(60, 2)), random.integers(1, 3, size=60)
    y = (x[:, 0] + random.normal(size=60) > 0).astype(int)
    once = [f"{a},{b},{w},{c},train" for (a, b), w, c in zip(x, weight, y, strict=True)]
    twice = [line.replace(f",{w},", ",1,") for line, w in zip(once, weight, strict=True) for _ in range(w)]
    figures = []
    for name, lines in (("once", once), ("twice", twice)):
        path = tmp_path / f"{name}.csv"
        # the same rows again for the test
        path.write_text("\n".join(["a,b,w,y,part", *lines, *(line.replace("train", "test") for line in lines)]))
        bench.upload(name, path, "csv")
        split = {"column": "part", "validation": 0.0}
        data = {"dataset": name, "target": "y", "weight": "w", "split": split, "preprocess": {"scale": "none"}}
        body = {
            "data": data,
            "network": {"family": "linear", "init": {"type": "zeros"}},
            "optimizer": {"type": "sgd", "lr": 0.5},
            "training": {"epochs": 5, "batch_size": "full", "precision": "float64"},
            "metrics": ["log_loss", "f1"],
        }
        figures.append(last(bench.events(body), Finished).metrics)
    assert figures[0] == pytest.approx(figures[1], rel=1e-9)


def test_a_sum_moves_further_with_the_batch(bench: Bench) -> None:
    def first_weights(reduction: str, lr: float) -> torch.Tensor:
        body = {
            "data": {"dataset": "iris"},
            "network": {"layers": []},
            "loss": {"type": "auto", "reduction": reduction},
            "optimizer": {"type": "sgd", "lr": lr},
            "training": {"epochs": 1, "batch_size": "full", "precision": "float64"},
        }
        return load_file(last(bench.events(body), Checkpoint).content_path)["0.weight"]

    run = bench.run({"data": {"dataset": "iris"}, "network": {"layers": []}})
    num_rows = len(run_module.assemble(run.spec, run.schema, run.data_path, torch.device("cpu"), 1).train)
    summed, mean = first_weights("sum", 0.01), first_weights("mean", 0.01 * num_rows)
    torch.testing.assert_close(summed, mean, rtol=1e-9, atol=1e-12)


REGRESSION: dict[str, Any] = {
    "data": {"dataset": "diabetes"},
    "network": {"family": "feed_forward", "hidden": [16]},
    "optimizer": {"type": "adam", "lr": 0.01},
    "training": {"epochs": 30},
}


def test_regression_figures_are_in_the_targets_unit(bench: Bench) -> None:
    plain = bench.events(REGRESSION | {"optimizer": {"type": "adam", "lr": 0.1}})
    scaled = bench.events(REGRESSION | {"data": {"dataset": "diabetes", "preprocess": {"target_scale": "standard"}}})
    for events in (plain, scaled):
        metrics = last(events, Finished).metrics
        assert {"test.mse", "test.rmse", "test.mae", "test.r2"} <= metrics.keys()
        assert 40 < metrics["test.rmse"] < 75
        assert metrics["test.mse"] == pytest.approx(metrics["test.rmse"] ** 2)
    # the loss is in the scale that is trained in
    assert last(scaled, Finished).metrics["test.loss"] < 1.5


def test_reconstruction_of_a_data_set_without_target(bench: Bench, tmp_path: Path, random: np.random.Generator) -> None:
    low = random.normal(size=(200, 2))
    np.save(tmp_path / "x.npy", low @ random.normal(size=(2, 6)))
    bench.upload("plane", tmp_path / "x.npy", "npy")
    body = {
        "data": {"dataset": "plane"},
        "network": {"layers": [{"type": "linear", "units": 2}]},
        "optimizer": {"type": "adam", "lr": 0.03},
        "training": {"epochs": 60},
    }
    metrics = last(bench.events(body), Finished).metrics
    assert metrics["test.mse"] < 0.01
