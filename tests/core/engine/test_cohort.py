"""Runs in one process are each as if alone: the same events, the same bytes, whoever rides along."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from core.changes import Change
from core.data.sharing import shared_preparations
from core.engine.cohort import Member, train_together
from core.engine.run import Run, train
from core.engine.run import story as told_by_run
from core.engine.steps import together as steps_together
from core.errors import TrainingFailed
from core.events import Changed, Checkpoint, Event, Failed, Finished, Metrics, Progress, Started, Stopped
from core.states import StopReason
from tests.core.engine.workbench import Bench, after_steps, files, last, never, rows


def body(seed: int = 0, **more: Any) -> dict[str, Any]:
    """70 training rows, 5 steps an epoch; noise from dropout, state in batch norm, a best that moves."""
    layers: list[dict[str, Any]] = [
        {"type": "linear", "units": 8},
        {"type": "batch_norm"},
        {"type": "relu"},
        {"type": "dropout", "p": more.pop("p", 0.3)},
    ]
    return {
        "data": {"dataset": "moons", "parameters": {"rows": 100, "noise": 0.3}},
        "network": {"layers": layers, "init": more.pop("init", None)},
        "optimizer": {"type": "adam", "lr": more.pop("lr", 0.05)},
        "training": {"epochs": more.pop("epochs", 5), "batch_size": 16, "seed": seed, **more},
        "monitor": {"every_steps": 3},
    }


def together(members: Sequence[Member]) -> dict[int, list[Event]]:
    """The events of each member."""
    events: dict[int, list[Event]] = defaultdict(list)
    with shared_preparations():
        for place, event in train_together(members):
            events[place].append(event)
    return events


def story(events: list[Event]) -> list[Any]:
    """What a run told, without its clock: how often it says where it stands, and which states became files."""
    timeless = [event for event in events if not isinstance(event, Progress | Checkpoint)]
    end = last(events, Checkpoint)
    told = [replace(event, time=0.0) if isinstance(event, Metrics) else event for event in timeless]
    return [*told, (end.step, end.content_sha256, end.state_sha256)]


FIVE = [
    body(1),
    body(2, lr=0.01, p=0.0),
    body(3, epochs=3),
    body(4, init={"type": "he"}, early_stopping={"patience": 1}, epochs=30),
    body(5, clip_grad_norm=0.5),
]


def test_events_and_bytes_are_those_of_each_run_alone(bench: Bench) -> None:
    alone = [list(train(bench.run(each), never)) for each in FIVE]
    company = together([Member(bench.run(each), never) for each in FIVE])
    for place, events in enumerate(alone):
        assert story(company[place]) == story(events)
        assert isinstance(company[place][0], Started)
        assert isinstance(company[place][-1], Finished)
    assert last(company[3], Finished).early_stopped


def test_members_that_share_no_rows_come_to_the_same_bytes(bench: Bench) -> None:
    """Each prepares its data anew; batches of 11 rows of 13 features begin anywhere in their lines of memory."""
    bodies = [wine(*wide(8, "relu"), seed=s, training={"epochs": 3, "batch_size": 11, "seed": s}) for s in range(3)]
    events: dict[int, list[Event]] = defaultdict(list)
    for place, event in train_together([Member(bench.run(each), never) for each in bodies]):
        events[place].append(event)
    shared = together([Member(bench.run(each), never) for each in bodies])
    for place, each in enumerate(bodies):
        alone = story(list(train(bench.run(each), never)))
        assert story(events[place]) == story(shared[place]) == alone


def wine(*layers: dict[str, Any], seed: int, **more: Any) -> dict[str, Any]:
    """13 features in batches of odd size: blocks of memory begin anywhere."""
    return {
        "data": {"dataset": "wine"},
        "network": {"layers": [*layers]},
        "optimizer": more.pop("optimizer", {"type": "adam", "lr": 0.01}),
        "training": {"epochs": 3, "batch_size": 17, "seed": seed},
        **more,
    }


def wide(units: int, kind: str) -> tuple[dict[str, Any], ...]:
    return {"type": "linear", "units": units}, {"type": kind}


BEAR_COMPANY: dict[str, list[dict[str, Any]]] = {
    "alike": [wine(*wide(31, "gelu"), *wide(9, "sigmoid"), seed=s) for s in range(5)],
    "two_kinds": [wine(*wide(8 + s % 2, "softplus"), seed=s) for s in range(5)],
    "rules": [
        wine(*wide(8, "relu"), seed=s, optimizer=optimizer)
        for s, optimizer in enumerate(
            (
                {"type": "sgd", "lr": 0.1},
                {"type": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True, "form": "textbook"},
                {"type": "muon", "lr": 0.01},
                {"type": "nadam"},
                {"type": "lbfgs", "lr": 0.1},
            )
        )
    ],
    "weights": [
        wine(*wide(5, "tanh"), seed=s, loss={"type": "cross_entropy", "class_weight": "balanced"},
               regularization={"l1": 0.001 * s, "l2": 0.01})
        for s in range(3)
    ],
    "looked_at": [wine(*wide(8, "relu"), seed=s, monitor={"layers": True, "every_steps": 2 + s}) for s in range(3)],
    "recorded": [
        wine({"type": "unflatten", "shape": [13, 1]}, {"type": "rnn", "units": 3}, {"type": "dropout"}, seed=s)
        for s in range(2)
    ],
}  # fmt: skip


@pytest.mark.parametrize("bodies", BEAR_COMPANY.values(), ids=BEAR_COMPANY)
def test_whatever_rides_together_comes_to_its_own_bytes(bench: Bench, bodies: list[dict[str, Any]]) -> None:
    company = together([Member(bench.run(each), never) for each in bodies])
    for place, each in enumerate(bodies):
        alone = list(train(bench.run(each), never))
        assert isinstance(alone[-1], Finished)
        assert story(company[place]) == story(alone)


def test_members_are_evaluated_and_their_windows_closed_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where their networks are alike and the rows are the same; a part too large for one pass is each one's own."""
    sizes: dict[str, list[int]] = defaultdict(list)
    for name in ("figures", "close_windows"):
        inner = getattr(steps_together, name)

        def counted(group: Any, *more: Any, inner: Any = inner, name: str = name) -> Any:
            sizes[name].append(len(group))
            return inner(group, *more)

        monkeypatch.setattr(steps_together, name, counted)
    bodies = [wine(*wide(8, "relu"), seed=s) for s in range(3)]
    together([Member(bench.run(each), never) for each in bodies])
    # each epoch, and the best state at the end
    assert sizes == {"figures": [3] * 4, "close_windows": [3] * 3}
    sizes.clear()
    large = [wine(*wide(8, "relu"), seed=s, data={"dataset": "wine", "split": {"validation": 0.5}}) for s in range(3)]
    monkeypatch.setattr("core.spec.sizes._EVALUATION_ROWS", 40)
    company = together([Member(bench.run(each), never) for each in large])
    # the test part is small enough
    assert sizes == {"close_windows": [3] * 3, "figures": [3]}
    for place, each in enumerate(large):
        assert story(company[place]) == story(list(train(bench.run(each), never)))


def test_members_advance_in_turn(bench: Bench) -> None:
    """Nobody waits for the end of another: the first rows of all come before the second row of any."""
    seen = [place for place, event in train_together([Member(bench.run(body(s)), never) for s in range(4)])
            if isinstance(event, Metrics)]  # fmt: skip
    assert sorted(seen[:4]) == [0, 1, 2, 3]


def test_one_that_stops_leaves_and_resumes_in_other_company(bench: Bench) -> None:
    alone = [list(train(bench.run(body(s)), never)) for s in range(3)]
    runs = [bench.run(body(s)) for s in range(3)]
    asked = [never, after_steps(5), after_steps(11, StopReason.CANCEL)]
    first = together([Member(run, ask) for run, ask in zip(runs, asked, strict=True)])
    assert story(first[0]) == story(alone[0])
    stops = [last(first[k], Stopped) for k in (1, 2)]
    assert [stop.reason for stop in stops] == ["pause", "cancel"]
    # asked between runs of steps, in the middle of an epoch
    assert 0 < stops[0].step < stops[1].step < 25
    assert stops[0].step % 5
    again = [Member(replace(runs[k], resume=files(last(first[k], Checkpoint))), never) for k in (2, 1)]
    second = together(again)
    for k, events in ((2, second[0]), (1, second[1])):
        assert last(events, Started).resume_exact
        assert rows(first[k]) + rows(events) == rows(alone[k])
        assert story(events)[-1] == story(alone[k])[-1]


def test_one_that_diverges_harms_nobody(bench: Bench) -> None:
    bodies = [body(1), body(2, lr=1e30), body(3)]
    company = together([Member(bench.run(each), never) for each in bodies])
    assert last(company[1], Failed).code == "diverged"
    for place in (0, 2):
        assert story(company[place]) == story(list(train(bench.run(bodies[place]), never)))


def test_a_change_is_of_one_member_alone(bench: Bench) -> None:
    change = Change(1, {"lr": 0.2})
    asked = [change]
    bodies = [body(1), body(2)]
    company = together(
        [
            Member(bench.run(bodies[0]), never, lambda: asked.pop() if asked else None),
            Member(bench.run(bodies[1]), never),
        ]
    )
    assert [type(event) for event in company[0]].count(Changed) == 1
    assert story(company[1]) == story(list(train(bench.run(bodies[1]), never)))


def test_a_change_of_a_former_attempt_is_made_at_its_step(bench: Bench) -> None:
    """Also where steps are taken several at once, and would have been taken past it."""
    wanted = {
        "data": {"dataset": "moons", "parameters": {"rows": 300}},
        "network": {"layers": [{"type": "linear", "units": 8}, {"type": "relu"}]},
        "training": {"epochs": 2, "batch_size": 4},
    }
    changes = (Change(1, {"lr": 0.1}, 21), Change(2, {"lr": 0.02}, 30))
    run = replace(bench.run(wanted), changes=changes)
    alone, company = list(train(run, never)), together([Member(run, never), Member(bench.run(wanted), never)])
    assert [event.step for event in company[0] if isinstance(event, Changed)] == [21, 30]
    assert last(company[0], Checkpoint).content_sha256 == last(alone, Checkpoint).content_sha256


def faulty(run: Run, fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this run alone meet `fault` after its first epoch."""
    ours = told_by_run

    def broken(each: Run, *asked: Any) -> Any:
        for event in ours(each, *asked):
            yield event
            if each.spec is run.spec and isinstance(event, Metrics) and event.step % 5 == 0:
                raise fault

    monkeypatch.setattr("core.engine.cohort.story", broken)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (AssertionError("ours"), "internal"),
        (RuntimeError("ours"), "internal"),
        (MemoryError(), "out_of_memory"),
        (OSError(12, "Cannot allocate memory"), "out_of_memory"),
        (TrainingFailed("a column is gone", code="data_error"), "data_error"),
    ],
    ids=["assertion", "runtime", "memory", "map", "told"],
)
def test_a_fault_of_one_is_its_last_word(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fault: Exception, code: str
) -> None:
    runs = [bench.run(body(s)) for s in range(3)]
    faulty(runs[1], fault, monkeypatch)
    company = together([Member(run, never) for run in runs])
    assert isinstance(company[1][-1], Failed)
    assert company[1][-1].code == code
    assert isinstance(company[0][-1], Finished)
    assert isinstance(company[2][-1], Finished)


def test_a_broken_disk_ends_them_all(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [bench.run(body(s)) for s in range(2)]
    faulty(runs[0], OSError(28, "No space left on device"), monkeypatch)
    with pytest.raises(OSError, match="No space"):
        together([Member(run, never) for run in runs])


def test_the_process_is_each_member_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a member sets for the process, threads and random numbers, no other finds."""
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    runs = [bench.run(body(s)) for s in range(2)]

    def one(run: Run, *_: Any) -> Any:
        place = [each.spec for each in runs].index(run.spec)
        torch.manual_seed(place)
        torch.set_num_threads(place + 1)
        for _ in range(3):
            found[place].append((torch.get_num_threads(), int(torch.randint(1000, ()))))
            yield Progress(0, 1, 0, 1, None, None)
        yield Stopped("pause", 0, 0)

    monkeypatch.setattr("core.engine.cohort.story", one)
    together([Member(run, never) for run in runs])
    for place in (0, 1):
        torch.manual_seed(place)
        assert found[place] == [(place + 1, int(torch.randint(1000, ()))) for _ in range(3)]
