"""Events survive the pipe: one line each, the same on the other side."""

import json

import pytest

from core.events import (
    Changed,
    Checkpoint,
    Event,
    Failed,
    Finished,
    Log,
    Metrics,
    Progress,
    Started,
    Stopped,
    Warned,
    from_line,
    row_of,
    row_parts,
    to_line,
)

EVENTS: list[Event] = [
    Started(40, 800, True, None, {"torch": "2.13.0", "threads": 2}),
    Progress(1, 20, 40, 800, 1.5, 25_000.0),
    Metrics(1, 40, {"train.loss": 0.5, "validation.loss": None}, ("validation.loss",), 1_700_000_000.25),
    Metrics(1, 40, {'"],"values":{\\': None, "ünï\n": 1e-300}, ('"],"values":{\\', "b"), 0.0, fold=3),
    Metrics(0, 0, {}, (), 1e300),
    Checkpoint(1, 40, "/tmp/a", "ab" * 32, "/tmp/b", "cd" * 32, True, "validation.loss", 0.4),
    Warned("vanishing_gradients", "/network/layers/0", "a line\nand another", 1, 40),
    Changed(2, 41, 1, {"lr": 0.01, "early_stopping": None}),
    Log("ünïcode \u2028 and\nnewlines"),
    Finished(1, 40, {"test.loss": 0.5}, (), False, {}),
    Finished(1, 40, {}, folds={"count": 2, "metrics": {"loss": {"mean": 0.5, "values": [0.4, 0.6]}}}),
    Stopped("pause", 1, 41),
    Failed("diverged", "the loss is not finite", "lower it", "/optimizer/lr", 2),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_one_line_and_comes_back_the_same(event: Event) -> None:
    line = to_line("job_1", event)
    assert "\n" not in line
    job_id, told = from_line(line.encode())
    assert job_id == "job_1"
    assert (row_of(told) if isinstance(told, str) else told) == event


def test_every_kind_of_event_is_in_this_list() -> None:
    assert {type(event) for event in EVENTS} == set(Event.__args__)


def test_a_row_stays_the_line_that_it_came_as() -> None:
    line = to_line("job_1", Metrics(3, 40, {"train.loss": 0.1 + 0.2}, (), 1_700_000_000.25))
    _, told = from_line(line)
    assert isinstance(told, str)
    assert told == line
    assert row_parts(told) == ("3", "40", "[]", "1700000000.25", "null", '{"train.loss":0.30000000000000004}')


@pytest.mark.parametrize(
    "line",
    ['{"job":"j","event":"metrics",', '{"job":"j","event":"metrics","epoch":1}', '{"job":"j","event":"metrics","x":1'],
)
def test_a_row_that_was_cut_is_refused_with_what_came(line: str) -> None:
    _, told = from_line(line)
    assert isinstance(told, str)
    with pytest.raises(ValueError, match=r"received '\{\"job"):
        row_parts(told)


def test_the_words_of_a_log_are_not_taken_for_a_row() -> None:
    said = Log('{"job":"j","event":"metrics","epoch":1,"values":{}}')
    assert from_line(to_line("job_1", said)) == ("job_1", said)


def test_nan_cannot_enter_the_pipe() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_line("job_1", Metrics(1, 1, {"train.loss": float("nan")}))


def test_an_unknown_event_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'hearsay'"):
        from_line(json.dumps({"job": "job_1", "event": "hearsay"}))
