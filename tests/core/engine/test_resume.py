"""Stopped at random steps, in the middle of epochs too, and resumed each time: the same bytes as never stopped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch

from core.engine.run import Run, train
from core.events import Checkpoint, Event, Failed, Finished, Metrics, Started, Stopped
from core.spec.optimizers import Optimizer
from core.spec.schedules import Schedule
from core.states import StopReason
from tests.core.engine.workbench import Bench, after_steps, files, last, never, rows


def names(union: Any) -> list[str]:
    return [model.model_fields["type"].default for model in get_args(get_args(union)[0])]


# 70 training rows, 5 steps an epoch; noise from dropout, state in batch norm, sums within epochs, a best that moves
HARD: dict[str, Any] = {
    "data": {"dataset": "moons", "parameters": {"rows": 100, "noise": 0.3}},
    "network": {
        "layers": [
            {"type": "linear", "units": 8},
            {"type": "batch_norm"},
            {"type": "swish", "learnable": True},
            {"type": "dropout", "p": 0.3},
        ]
    },
    "optimizer": {"type": "adam", "lr": 0.05},
    "regularization": {"l1": 0.001, "l2": 0.001},
    "training": {"epochs": 6, "batch_size": 16, "clip_grad_norm": 1.0, "early_stopping": {"patience": 4}},
    "monitor": {"every_steps": 3},
}


def interrupted(run: Run, random: np.random.Generator, most_steps: int = 7) -> tuple[list[Event], int]:
    """The events of a run that is stopped again and again after a few steps; and how often it was.

    As in the service: what came after the checkpoint that a run resumes from is not counted.
    """
    history: list[Event] = []
    stops = 0
    while True:
        events = list(train(run, after_steps(int(random.integers(0, most_steps)))))
        history += events
        if not isinstance(events[-1], Stopped):
            return history, stops
        stops += 1
        checkpoints = [event for event in history if isinstance(event, Checkpoint)]
        if checkpoints:
            run = replace(run, resume=files(checkpoints[-1]))


def assert_same_in_the_end(bench: Bench, body: dict[str, Any], seed: int = 0) -> None:
    straight = bench.events(body)
    broken, stops = interrupted(bench.run(body), np.random.Generator(np.random.PCG64(seed)))
    assert stops > 3
    assert all(event.resume_exact for event in broken if isinstance(event, Started))
    assert rows(broken) == rows(straight)
    assert last(broken, Finished) == last(straight, Finished)
    ours, theirs = last(broken, Checkpoint), last(straight, Checkpoint)
    assert (ours.step, ours.content_sha256) == (theirs.step, theirs.content_sha256)
    assert ours.state_sha256 == theirs.state_sha256
    best = [event for event in broken if isinstance(event, Checkpoint) and event.is_best][-1]
    assert best.content_sha256 == [e for e in straight if isinstance(e, Checkpoint) and e.is_best][-1].content_sha256


@pytest.mark.parametrize("optimizer", names(Optimizer))
def test_every_optimizer(bench: Bench, optimizer: str) -> None:
    options: dict[str, Any] = {"type": optimizer}
    if optimizer in ("sgd", "rmsprop"):
        options["momentum"] = 0.9
    if optimizer == "lbfgs":
        options |= {"max_iter": 3, "lr": 0.1}
    assert_same_in_the_end(bench, HARD | {"optimizer": options})


@pytest.mark.parametrize("schedule", names(Schedule))
def test_every_schedule(bench: Bench, schedule: str) -> None:
    options: dict[str, Any] = {"type": schedule, "warmup_steps": 3}
    options |= {
        "step": {"step_size": 2},
        "multi_step": {"milestones": [2, 4]},
        "plateau": {"patience": 0, "threshold": 0.05},
        "cosine": {"cycles": 2},
    }.get(schedule, {})
    assert_same_in_the_end(bench, HARD | {"schedule": options})


@pytest.mark.parametrize(
    "training",
    [
        {"epochs": 3, "batch_size": "full"},
        {"epochs": 1, "batch_size": 1, "shuffle": False},
        {"epochs": 4, "batch_size": 23, "precision": "float64", "clip_grad_value": 0.01},
    ],
    ids=["full", "single", "float64"],
)
def test_every_kind_of_batch(bench: Bench, training: dict[str, Any]) -> None:
    network = {"layers": [{"type": "linear", "units": 4}, {"type": "tanh"}, {"type": "dropout", "p": 0.2}]}
    body = HARD | {"training": training, "network": network}
    straight = bench.events(body)
    broken, _ = interrupted(bench.run(body), np.random.Generator(np.random.PCG64(3)), most_steps=3)
    assert last(broken, Checkpoint).content_sha256 == last(straight, Checkpoint).content_sha256
    assert rows(broken) == rows(straight)


def test_a_stop_within_a_window_of_many_steps(bench: Bench) -> None:
    body = HARD | {"monitor": {}, "training": {"epochs": 2, "batch_size": 2, "clip_grad_norm": 1.0}}
    straight = bench.events(body)
    broken, _ = interrupted(bench.run(body), np.random.Generator(np.random.PCG64(1)), most_steps=40)
    assert rows(broken) == rows(straight)
    assert last(broken, Checkpoint).content_sha256 == last(straight, Checkpoint).content_sha256


def test_early_stopping_stops_at_the_same_epoch(bench: Bench) -> None:
    body = HARD | {"training": {"epochs": 60, "batch_size": 16, "early_stopping": {"patience": 3}}}
    straight = last(bench.events(body), Finished)
    assert straight.early_stopped
    broken, _ = interrupted(bench.run(body), np.random.Generator(np.random.PCG64(2)), most_steps=30)
    assert last(broken, Finished) == straight


def test_a_continued_run_is_a_longer_one(bench: Bench) -> None:
    body = HARD | {"training": {"epochs": 3, "batch_size": 16}}
    longer = body | {"training": {"epochs": 7, "batch_size": 16}}
    short = bench.events(body)
    more = bench.resumed(bench.run(longer), last(short, Checkpoint))
    straight = bench.events(longer)
    assert last(more, Started).resume_exact
    assert last(more, Checkpoint).content_sha256 == last(straight, Checkpoint).content_sha256
    assert rows(short) + rows(more) == rows(straight)
    assert last(more, Finished) == last(straight, Finished)


def test_a_continued_run_whose_schedule_spans_the_whole_says_that_it_is_not_exact(bench: Bench) -> None:
    body = HARD | {"schedule": {"type": "cosine"}}
    short = bench.events(body | {"training": {"epochs": 2}})
    started = bench.resumed(bench.run(body | {"training": {"epochs": 4}}), last(short, Checkpoint))[0]
    assert isinstance(started, Started)
    assert not started.resume_exact
    assert "cosine" in (started.resume_note or "")


def test_continuing_after_early_stopping_goes_on(bench: Bench) -> None:
    training = {"epochs": 60, "batch_size": 16, "early_stopping": {"patience": 2}}
    stopped = bench.events(HARD | {"training": training})
    epoch = last(stopped, Metrics).epoch
    more = bench.resumed(bench.run(HARD | {"training": training | {"epochs": 65}}), last(stopped, Checkpoint))
    assert last(more, Metrics).epoch > epoch


def test_resumed_at_its_end_a_run_just_finishes(bench: Bench) -> None:
    run = bench.run(HARD)
    straight = list(train(run, never))
    again = bench.resumed(run, last(straight, Checkpoint))
    assert last(again, Finished) == last(straight, Finished)
    assert not rows(again)


# enough arithmetic in a step for a second thread to be of use
WIDE: dict[str, Any] = {
    "data": {"dataset": "moons", "parameters": {"rows": 1000}},
    "network": {"family": "deep_feed_forward", "hidden": [128, 128]},
    "training": {"epochs": 3, "batch_size": 350},
}


def test_another_thread_count_goes_on_and_says_so(bench: Bench) -> None:
    run = bench.run(WIDE, threads=1)
    stopped = list(train(run, after_steps(4)))
    events = bench.resumed(run, last(stopped, Checkpoint), threads=2)
    assert torch.get_num_threads() == 2
    started = events[0]
    assert isinstance(started, Started)
    assert not started.resume_exact
    assert started.resume_note == "threads was 1 and is 2"
    assert isinstance(events[-1], Finished)


def test_a_small_network_takes_one_thread_and_stays_exact_wherever_it_goes(bench: Bench) -> None:
    run = bench.run(HARD, threads=1)
    stopped = list(train(run, after_steps(9)))
    events = bench.resumed(run, last(stopped, Checkpoint), threads=2)
    assert torch.get_num_threads() == 1
    assert isinstance(events[0], Started)
    assert events[0].resume_exact


def test_continuing_before_patience_ran_out_is_what_the_longer_run_does(bench: Bench) -> None:
    stopping = {"patience": 3, "min_delta": 0.02}
    longer = HARD | {"training": {"epochs": 12, "batch_size": 16, "early_stopping": stopping}}
    straight = bench.events(longer)
    end = last(straight, Metrics).epoch
    shorter = longer | {"training": longer["training"] | {"epochs": end - 1}}
    more = bench.resumed(bench.run(longer), last(bench.events(shorter), Checkpoint))
    assert last(more, Metrics).epoch == end
    assert last(more, Checkpoint).content_sha256 == last(straight, Checkpoint).content_sha256


def test_a_run_stopped_before_its_first_step_resumes(bench: Bench) -> None:
    run = bench.run(HARD)
    events = list(train(run, after_steps(0, StopReason.SHUTDOWN)))
    assert events[-1] == Stopped("shutdown", 0, 0)
    resumed = bench.resumed(run, last(events, Checkpoint))
    assert last(resumed, Checkpoint).content_sha256 == last(bench.events(HARD), Checkpoint).content_sha256


def test_the_time_limit_counts_all_attempts(bench: Bench) -> None:
    body = HARD | {"training": {"epochs": 1_000, "batch_size": 16, "time_limit_s": 1.0}}
    run = bench.run(body)
    first = list(train(run, after_steps(10)))
    assert isinstance(first[-1], Stopped)
    second = bench.resumed(run, last(first, Checkpoint))
    failed = second[-1]
    assert isinstance(failed, Failed)
    assert (failed.code, failed.pointer) == ("time_limit", "/training/time_limit_s")
    # the work is kept, and a further attempt has no time left
    kept = last(second, Checkpoint)
    assert kept.step > last(first, Checkpoint).step
    third = bench.resumed(run, kept)
    assert isinstance(third[-1], Failed)
    assert not rows(third)
    # more epochs were asked for: the limit counts anew, or the job could never go on
    longer = bench.run(body | {"training": body["training"] | {"epochs": 1_001}})
    fourth = bench.resumed(longer, kept)
    assert rows(fourth)


def test_a_warm_up_that_a_short_run_had_cut_off_is_told(bench: Bench) -> None:
    body = HARD | {"schedule": {"type": "constant", "warmup_steps": 100}}
    short = bench.events(body)
    longer = bench.run(body | {"training": body["training"] | {"epochs": 30}})
    started = bench.resumed(longer, last(short, Checkpoint))[0]
    assert isinstance(started, Started)
    assert not started.resume_exact
