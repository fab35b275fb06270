"""Live changes: at the step where they are made, exact however often the run is stopped, killed and resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.changes import Change
from core.engine.run import Run, train
from core.engine.timeline import Timeline
from core.events import Changed, Checkpoint, Event, Finished, Metrics, Started, Stopped
from tests.core.engine.test_resume import HARD
from tests.core.engine.workbench import Bench, after_steps, files, last, never, rows

pytestmark = pytest.mark.usefixtures("asked_before_every_step")

STOPPING = {"monitor": "validation.loss", "patience": 2, "min_delta": 0.5, "mode": "auto"}


def asked_at(*asked: tuple[int, dict[str, Any]]) -> Callable[[], Change | None]:
    """Asks for the changes once so many steps were done: the run asks until it hears None, then makes a step."""
    steps = 0
    waiting = [(step, Change(number, fields)) for number, (step, fields) in enumerate(asked, start=1)]

    def next_change() -> Change | None:
        nonlocal steps
        if waiting and steps >= waiting[0][0]:
            return waiting.pop(0)[1]
        steps += 1
        return None

    return next_change


def made(events: list[Event]) -> tuple[Change, ...]:
    """The changes that the events say were made, as a database would give them back."""
    found = [event for event in events if isinstance(event, Changed)]
    return tuple(Change(event.number, event.fields, event.step) for event in found)


def straight(bench: Bench, body: dict[str, Any], *changes: tuple[int, dict[str, Any]]) -> list[Event]:
    """A run that is never stopped and is changed at given steps."""
    told = tuple(Change(number, fields, step) for number, (step, fields) in enumerate(changes, start=1))
    return list(train(replace(bench.run(body), changes=told), never))


def killed_and_resumed(run: Run, random: np.random.Generator, most_steps: int = 9) -> list[Event]:
    """A run that is killed again and again: what it did after its last checkpoint is lost, but for what was told.

    Its history is what a database holds: rows after the point resumed from are taken back.
    """
    history: list[Event] = []
    while True:
        events: list[Event] = []
        budget = int(random.integers(1, most_steps))
        for event in train(run, after_steps(budget)):
            events.append(event)
            if isinstance(event, Stopped):
                # the checkpoint of the stop is kept in half of the cases: else the process died before it was stored
                if random.integers(0, 2):
                    events = [e for e in events if not isinstance(e, Checkpoint) or e.end_of_epoch]
                break
        checkpoints = [e for e in events if isinstance(e, Checkpoint)]
        history += [e for e in events if isinstance(e, Checkpoint | Metrics | Started | Finished | Changed)]
        if not isinstance(events[-1], Stopped):
            return history
        most_steps += 2
        if checkpoints:
            run = replace(run, resume=files(checkpoints[-1]))
        step = max([e.step for e in history if isinstance(e, Checkpoint)], default=-1)
        history = [e for e in history if not isinstance(e, Metrics) or e.step <= step]


def assert_same_end(broken: list[Event], whole: list[Event]) -> None:
    assert all(event.resume_exact for event in broken if isinstance(event, Started))
    assert rows(broken) == rows(whole)
    assert last(broken, Finished) == last(whole, Finished)
    ours, theirs = last(broken, Checkpoint), last(whole, Checkpoint)
    assert (ours.step, ours.content_sha256, ours.state_sha256) == (
        theirs.step,
        theirs.content_sha256,
        theirs.state_sha256,
    )


LIVE = {
    "lr": [(7, {"lr": 0.3})],
    "lr at the end of an epoch": [(10, {"lr": 0.3})],
    "longer": [(12, {"epochs": 9})],
    "shorter": [(12, {"epochs": 4})],
    "over already": [(18, {"epochs": 1})],
    "over already, at the end of an epoch": [(15, {"epochs": 2})],
    "early stopping": [(8, {"early_stopping": STOPPING})],
    "no early stopping": [(8, {"early_stopping": None})],
    "another monitor": [(11, {"early_stopping": STOPPING | {"monitor": "validation.accuracy", "min_delta": 0.0}})],
    "all at once, and again": [
        (3, {"lr": 0.2, "epochs": 8, "early_stopping": STOPPING}),
        (3, {"lr": 0.1}),
        (13, {"epochs": 7, "early_stopping": None}),
    ],
}


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
@pytest.mark.parametrize("changes", LIVE.values(), ids=LIVE)
def test_a_change_is_exact_however_often_the_run_is_killed(
    bench: Bench, changes: list[tuple[int, dict[str, Any]]], schedule: str
) -> None:
    body = HARD | {"schedule": {"type": schedule, "warmup_steps": 4}}
    run = bench.run(body)
    # it is asked for while the run lives; where it was made is told
    live = list(train(run, never, asked_at(*changes)))
    assert [(change.step, change.number) for change in made(live)] == [
        (step, number) for number, (step, _) in enumerate(changes, start=1)
    ]
    whole = straight(bench, body, *changes)
    assert_same_end(live, whole)
    for seed in range(2):
        again = replace(bench.run(body), changes=made(live))
        broken = killed_and_resumed(again, np.random.Generator(np.random.PCG64(seed)))
        assert_same_end(broken, whole)


def test_a_change_waits_for_those_that_were_made_before_it(bench: Bench) -> None:
    run = bench.run(HARD)
    old, new = Change(1, {"lr": 0.2}, step=12), Change(2, {"lr": 0.01})
    events = list(train(replace(run, changes=(old, new)), never))
    assert [(change.number, change.step) for change in made(events)] == [(1, 12), (2, 12)]
    # numbers of changes that were never made are no holes
    timeline = Timeline((Change(1, {}, 3), Change(4, {}, 9), Change(6, {})), done=1)
    assert [timeline.due(8), timeline.due(9), timeline.due(9)] == [None, Change(4, {}, 9), Change(6, {})]


def test_a_change_is_told_before_anything_that_it_moves(bench: Bench) -> None:
    run = bench.run(HARD)
    events = list(train(run, never, asked_at((7, {"lr": 0.3}))))
    place = next(index for index, event in enumerate(events) if isinstance(event, Changed))
    assert events[place] == Changed(1, 7, 1, {"lr": 0.3})
    assert all(row.step < 7 for row in events[:place] if isinstance(row, Metrics | Checkpoint))
    rates = [(row.step, row.values["lr"]) for row in events if isinstance(row, Metrics)]
    assert all(lr == (0.05 if step <= 7 else 0.3) for step, lr in rates)


def test_a_change_before_the_first_step_is_another_spec(bench: Bench) -> None:
    run = bench.run(HARD)
    changed = list(train(run, never, asked_at((0, {"lr": 0.01, "epochs": 3}))))
    training = HARD["training"] | {"epochs": 3}
    other = bench.events(HARD | {"optimizer": {"type": "adam", "lr": 0.01}, "training": training})
    assert rows(changed) == rows(other)
    assert last(changed, Checkpoint).content_sha256 == last(other, Checkpoint).content_sha256


def test_epochs_that_are_over_end_the_run_at_the_end_of_the_one_under_way(bench: Bench) -> None:
    body = HARD | {"training": {"epochs": 6, "batch_size": 16}}
    steps = 5
    events = straight(bench, body, (3 * steps + 2, {"epochs": 1}))
    assert last(events, Metrics).epoch == 4
    assert last(events, Changed).fields == {"epochs": 4}
    assert not last(events, Finished).early_stopped


def test_the_schedule_spans_the_new_number_of_epochs_from_the_change_on(bench: Bench) -> None:
    body = HARD | {"schedule": {"type": "linear"}, "training": {"epochs": 6, "batch_size": 16}}
    rates = {
        row.step: row.values["lr"] for row in straight(bench, body, (15, {"epochs": 12})) if isinstance(row, Metrics)
    }
    # at the peak's share that is left of 60 steps, not of 30
    assert rates[15] == pytest.approx(0.05 * (1 - 14 / 29))
    assert rates[20] == pytest.approx(0.05 * (1 - 19 / 59))
    assert rates[60] == pytest.approx(0.0)


def test_patience_counts_anew(bench: Bench) -> None:
    body = HARD | {"training": {"epochs": 40, "batch_size": 16}}
    events = straight(bench, body, (50, {"early_stopping": STOPPING}))
    assert last(events, Metrics).epoch == 10 + 1 + 2
    assert last(events, Finished).early_stopped


def test_another_monitor_judges_from_the_next_epoch_on_and_keeps_the_best_until_then(bench: Bench) -> None:
    stopping = STOPPING | {"monitor": "train.accuracy"}
    body = HARD | {"training": {"epochs": 6, "batch_size": 16}}
    best = [
        e
        for e in straight(bench, body, (12, {"early_stopping": stopping | {"patience": 9}}))
        if isinstance(e, Checkpoint)
    ]
    assert {checkpoint.monitor for checkpoint in best if checkpoint.step > 15} == {"train.accuracy"}


def test_continuing_a_changed_run_goes_on_with_what_it_was_changed_to(bench: Bench) -> None:
    run = bench.run(HARD | {"training": {"epochs": 3, "batch_size": 16}})
    short = list(train(run, never, asked_at((7, {"lr": 0.3}))))
    longer = bench.run(HARD | {"training": {"epochs": 5, "batch_size": 16}})
    more = list(train(replace(longer, changes=made(short), resume=files(last(short, Checkpoint))), never))
    whole = straight(bench, HARD | {"training": {"epochs": 5, "batch_size": 16}}, (7, {"lr": 0.3}))
    assert last(more, Started).resume_exact
    assert last(more, Checkpoint).content_sha256 == last(whole, Checkpoint).content_sha256
    assert rows(short) + rows(more) == rows(whole)
