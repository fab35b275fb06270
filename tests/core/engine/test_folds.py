"""Cross-validation: each fold as if trained alone, means and spread, and the same bytes however often it is killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.prepare import fold_sizes, prepare
from core.engine.analyses import Context
from core.engine.checkpoint import read_meta
from core.engine.folds import FoldResult, Place, best_fold, summary
from core.engine.run import Run, train
from core.engine.trained import load_trained
from core.events import Checkpoint, Event, Failed, Finished, Metrics, Progress, Started, Stopped
from tests.core.engine.test_resume import HARD, interrupted
from tests.core.engine.workbench import Bench, after_steps, files, last, never, rows

FOLDED: dict[str, Any] = HARD | {"data": HARD["data"] | {"split": {"folds": 3, "test": 0.2}}}
# 80 rows that are not test: 53 or 54 train in each fold, 4 steps an epoch
STEPS, EPOCHS = 4, 6


def rows_of(events: list[Event], fold: int) -> list[tuple[int, dict[str, float | None]]]:
    return [(event.epoch, event.values) for event in events if isinstance(event, Metrics) and event.fold == fold]


def test_the_story_of_a_run_in_folds(bench: Bench) -> None:
    events = bench.events(FOLDED)
    started = events[0]
    assert isinstance(started, Started)
    assert len([event for event in events if isinstance(event, Started)]) == 1
    assert started.total_steps == 3 * STEPS * EPOCHS
    found = [event for event in events if isinstance(event, Metrics)]
    steps = [row.step for row in found]
    assert steps == sorted(steps)
    assert len(set(steps)) == len(steps)
    assert list(dict.fromkeys(row.fold for row in found)) == [0, 1, 2]
    assert [row.epoch for row in found if row.fold == 1][-1] <= EPOCHS
    progress = last(events, Progress)
    assert (progress.epochs, progress.steps) == (3 * EPOCHS, 3 * STEPS * EPOCHS)
    finished = last(events, Finished)
    assert events[-1] is finished
    assert finished.folds["count"] == 3
    auc = finished.folds["metrics"]["validation.auc"]
    assert auc["mean"] == pytest.approx(np.mean(auc["values"]))
    assert auc["std"] == pytest.approx(np.std(auc["values"]))
    assert finished.metrics["validation.auc"] == auc["mean"]
    assert finished.metrics["test.accuracy"] == finished.folds["metrics"]["test.accuracy"]["mean"]


def test_the_figures_of_a_fold_are_those_of_its_best_epoch(bench: Bench) -> None:
    events = bench.events(FOLDED)
    losses = last(events, Finished).folds["metrics"]["validation.loss"]["values"]
    for fold in range(3):
        seen = [values["validation.loss"] for _, values in rows_of(events, fold) if "validation.loss" in values]
        assert losses[fold] == min(value for value in seen if value is not None)


def test_the_model_kept_is_that_of_the_best_fold(bench: Bench) -> None:
    events = bench.events(FOLDED)
    finished = last(events, Finished)
    losses = finished.folds["metrics"]["validation.loss"]["values"]
    assert finished.folds["best"] == int(np.argmin(losses))
    best = [event for event in events if isinstance(event, Checkpoint) and event.is_best][-1]
    assert best.monitor_value == min(losses)
    assert best.step == finished.best_step
    assert read_meta(files(best)[0])["fold"] == finished.folds["best"]


def test_every_row_validates_once_and_the_test_rows_are_the_same(bench: Bench) -> None:
    run = bench.run(FOLDED)
    parts = [prepare(run.spec, run.schema, run.data_path, fold) for fold in range(3)]
    assert fold_sizes(run.spec, run.schema, run.data_path) == tuple(len(part.train) for part in parts)
    held = np.concatenate([part.validation for part in parts])
    assert np.array_equal(np.sort(np.concatenate((held, parts[0].test))), np.arange(100))
    assert all(np.array_equal(part.test, parts[0].test) for part in parts)
    # fitted on the rows that train, so that no fold knows what it validates on
    assert len({str(part.preparation.to_json()) for part in parts}) == 3


def test_a_fold_is_what_a_run_on_its_rows_alone_is(bench: Bench, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    values = [f"{a:.4f},{b:.4f},{'pos' if a > b else 'neg'}" for a, b in random.normal(size=(90, 2))]
    body = HARD | {"training": {"epochs": 3, "batch_size": 16}}
    (tmp_path / "whole.csv").write_text("\n".join(["a,b,y", *values]) + "\n")
    bench.upload("whole", tmp_path / "whole.csv", "csv")
    data = {"dataset": "whole", "target": "y", "split": {"folds": 4, "test": 0.1}}
    run = bench.run(body | {"data": data})
    together = list(train(run, never))
    for fold in range(4):
        part = prepare(run.spec, run.schema, run.data_path, fold)
        says = ["train"] * 90
        for name in ("validation", "test"):
            for row in getattr(part, name):
                says[row] = name
        lines = [f"{value},{word}" for value, word in zip(values, says, strict=True)]
        (tmp_path / f"f{fold}.csv").write_text("\n".join(["a,b,y,part", *lines]) + "\n")
        bench.upload(f"f{fold}", tmp_path / f"f{fold}.csv", "csv")
        own = {"dataset": f"f{fold}", "target": "y", "split": {"column": "part"}}
        alone = bench.events(body | {"data": own})
        assert rows_of(together, fold) == [(event.epoch, event.values) for event in alone if isinstance(event, Metrics)]
        tested = last(alone, Finished).metrics
        spread = last(together, Finished).folds["metrics"]
        assert {name: spread[name]["values"][fold] for name in tested} == tested


def test_folds_are_trained_apart_with_the_same_first_values(bench: Bench) -> None:
    run = bench.run(FOLDED)
    events = list(train(run, never))
    # stopped at the first step of the second fold and resumed: what came before cannot matter
    ended = [event for event in events if isinstance(event, Checkpoint) and event.step <= STEPS * EPOCHS][-1]
    again = list(train(replace(run, resume=files(ended)), never))
    assert rows_of(again, 1) == rows_of(events, 1)
    assert rows_of(again, 2) == rows_of(events, 2)


@pytest.mark.parametrize("seed", range(3))
def test_killed_and_resumed_within_and_between_folds_it_ends_with_the_same_bytes(bench: Bench, seed: int) -> None:
    straight = bench.events(FOLDED)
    broken, stops = interrupted(bench.run(FOLDED), np.random.Generator(np.random.PCG64(seed)), most_steps=12)
    assert stops > 5
    assert all(event.resume_exact for event in broken if isinstance(event, Started))
    assert rows(broken) == rows(straight)
    assert last(broken, Finished) == last(straight, Finished)
    ours, theirs = last(broken, Checkpoint), last(straight, Checkpoint)
    assert (ours.step, ours.content_sha256, ours.state_sha256) == (
        theirs.step,
        theirs.content_sha256,
        theirs.state_sha256,
    )


def test_resumed_from_the_end_of_any_fold_it_goes_on_with_the_next(bench: Bench) -> None:
    run = bench.run(FOLDED | {"checkpoints": {"keep_last": 100}})
    events = list(train(run, never))
    ends = {}
    for event in events:
        if isinstance(event, Checkpoint):
            ends[read_meta(files(event)[1])["fold"]] = event
    assert list(ends) == [0, 1, 2]
    for end in ends.values():
        again = list(train(replace(run, resume=files(end)), never))
        assert rows(again) == [row for row in rows(events) if row[1] > end.step]
        assert last(again, Finished) == last(events, Finished)


def test_a_fold_that_stops_early_leaves_the_numbers_of_the_others(bench: Bench) -> None:
    training = {"epochs": 60, "batch_size": 16, "early_stopping": {"patience": 2}}
    events = bench.events(FOLDED | {"training": training})
    finished = last(events, Finished)
    assert finished.early_stopped
    firsts = [next(e.step for e in events if isinstance(e, Metrics) and e.fold == fold) for fold in range(3)]
    assert [step // (60 * STEPS) for step in firsts] == [0, 1, 2]
    broken, _ = interrupted(bench.run(FOLDED | {"training": training}), np.random.Generator(np.random.PCG64(4)), 40)
    assert last(broken, Finished) == finished


def test_the_time_limit_is_over_all_folds(bench: Bench) -> None:
    run = bench.run(FOLDED | {"training": {"epochs": 300, "batch_size": 16, "time_limit_s": 1.0}})
    first = list(train(run, after_steps(10)))
    assert isinstance(first[-1], Stopped)
    failed = bench.resumed(run, last(first, Checkpoint))[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "time_limit"


def test_groups_and_time_order_are_kept_in_folds(bench: Bench, tmp_path: Path) -> None:
    csv = tmp_path / "t.csv"
    csv.write_text("t,g,x,y\n" + "".join(f"{99 - i},g{i % 12},{i % 7},{i % 5}.5\n" for i in range(100)))
    bench.upload("t", csv, "csv")
    network = {"family": "perceptron"}
    data: dict[str, Any] = {"dataset": "t", "target": "y", "features": ["x"]}
    training = {"epochs": 2}

    def split(**how: Any) -> Run:
        return bench.run({"data": data | {"split": how}, "network": network, "training": training})

    run = split(folds=4, test=0.1, group="g")
    for fold in range(4):
        part = prepare(run.spec, run.schema, run.data_path, fold)
        groups = [{int(row) % 12 for row in rows} for rows in (part.train, part.validation, part.test)]
        assert sum(map(len, groups)) == len(set.union(*groups))
    run = split(folds=4, test=0.1, order_by="t")
    sizes = []
    for fold in range(4):
        part = prepare(run.spec, run.schema, run.data_path, fold)
        # the later the time, the smaller the row number in this file
        assert part.train.min() > part.validation.max() > part.validation.min() > part.test.max()
        sizes.append((len(part.train), len(part.validation)))
    assert sizes == [(18, 18), (36, 18), (54, 18), (72, 18)]
    assert isinstance(list(train(run, never))[-1], Finished)


def test_the_best_fold_and_the_spread() -> None:
    def result(value: float | None, loss: float | None) -> FoldResult:
        return FoldResult(3, 30, value, {"validation.loss": loss}, early_stopped=False)

    results = [result(0.5, 0.5), result(0.2, 0.2), result(0.2, 0.2)]
    assert best_fold(results, upwards=False) == 1
    assert best_fold(results, upwards=True) == 0
    assert best_fold([result(None, None)], upwards=True) is None
    assert Place(earlier=tuple(results)).leads(0.1, upwards=False)
    assert not Place(earlier=tuple(results)).leads(0.2, upwards=False)
    assert not Place(earlier=tuple(results)).leads(None, upwards=False)
    assert Place().leads(None, upwards=False)
    figures = summary([*results, result(0.1, None)], 1)["metrics"]["validation.loss"]
    assert figures == {"mean": None, "std": None, "values": [0.5, 0.2, 0.2, None]}


def test_an_analysis_looks_at_the_rows_of_the_models_own_fold(bench: Bench) -> None:
    run = bench.run(FOLDED | {"checkpoints": {"keep_last": 100}})
    kept = [event for event in train(run, never) if isinstance(event, Checkpoint)]
    paths = tuple(files(event)[0] for event in kept)
    for fold in range(3):
        own = [path for path in paths if read_meta(path)["fold"] == fold]
        context = Context(load_trained(own[-1]), run.spec, run.schema, run.data_path, paths)
        assert context.way() == tuple(own)
        expected = prepare(run.spec, run.schema, run.data_path, fold)
        assert np.array_equal(context.prepared().validation, expected.validation)
