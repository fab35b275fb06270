"""Baselines beside a run: the figures that scikit-learn gives on the same rows, whatever happens to the run."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score, roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from core.data.prepare import prepare
from core.engine.baselines.beside import Baselines
from core.engine.baselines.models import MODELS, baseline
from core.engine.run import Run, train
from core.events import Checkpoint, Event, Finished, Log, Stopped
from core.spec.baselines import BASELINES
from core.states import StopReason
from tests.core.engine.workbench import Bench, last

IRIS: dict[str, Any] = {
    "data": {"dataset": "iris"},
    "network": {"layers": [{"type": "linear", "units": 8}, {"type": "relu"}]},
    "training": {"epochs": 2, "seed": 5},
    "metrics": ["log_loss", "f1"],
    "baselines": ["linear", "tree", "random_forest", "boosting"],
}


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "core.engine.baselines.child" in " ".join(each.cmdline())]


def test_the_tables_agree() -> None:
    assert set(BASELINES) == MODELS


def test_figures_are_scikit_learns_on_the_same_rows(bench: Bench) -> None:
    run = bench.run(IRIS)
    events = list(train(run, lambda: None))
    found = last(events, Finished).baselines
    prepared = prepare(run.spec, run.schema, run.data_path)
    assert prepared.y is not None
    models = {
        "linear": LogisticRegression(max_iter=1000),
        "tree": DecisionTreeClassifier(random_state=5),
        "random_forest": RandomForestClassifier(random_state=5),
        "boosting": HistGradientBoostingClassifier(random_state=5),
    }
    for name, model in models.items():
        model.fit(prepared.x[prepared.train], prepared.y[prepared.train])
        p, y = model.predict_proba(prepared.x[prepared.test]), prepared.y[prepared.test]
        metrics = found[name]["metrics"]
        assert metrics["test.accuracy"] == pytest.approx(accuracy_score(y, p.argmax(1)))
        assert metrics["test.log_loss"] == pytest.approx(log_loss(y, p))
        assert {"validation.accuracy", "validation.f1", "test.f1"} <= metrics.keys()
        assert found[name]["settings"]["estimator"] == type(model).__name__
        assert found[name]["time_s"] > 0
    assert list(found) == IRIS["baselines"]
    said = [event.message for event in events if isinstance(event, Log)]
    assert [message.split(":")[0] for message in said] == [f"baseline {name}" for name in models]
    assert not children()


def test_event_weights_count_in_fit_and_figures(bench: Bench) -> None:
    """Signed ones: rows of negative weight are left out of the fit and count in the figures."""
    random = np.random.default_rng(2)
    x = random.normal(size=(500, 3))
    y = (x[:, 0] + random.normal(size=500) > 0).astype(int)
    w = random.gamma(2, size=500) * np.where(random.random(500) < 0.1, -1, 1)
    np.savez(bench.folder / "w.npz", x=x, y=y, weight=w)
    bench.upload("w", bench.folder / "w.npz", "npz")
    run = bench.run(IRIS | {"data": {"dataset": "w"}, "metrics": ["accuracy"]})
    prepared = prepare(run.spec, run.schema, run.data_path)
    found = baseline("linear", run.spec, run.schema, run.data_path, 1)["metrics"]
    rows = prepared.train[w[prepared.train] >= 0]
    model = LogisticRegression(max_iter=1000).fit(prepared.x[rows], y[rows], sample_weight=w[rows])
    p = model.predict_proba(prepared.x[prepared.test])[:, 1]
    right = (p > 0.5) == y[prepared.test]
    assert found["test.accuracy"] == pytest.approx(w[prepared.test] @ right / w[prepared.test].sum(), rel=1e-5)
    positive = IRIS | {"data": {"dataset": "w", "split": {"stratify": False}}}
    np.savez(bench.folder / "p.npz", x=x, y=y, weight=np.abs(w))
    bench.upload("p", bench.folder / "p.npz", "npz")
    run = bench.run(positive | {"data": {"dataset": "p"}})
    prepared = prepare(run.spec, run.schema, run.data_path)
    fitted = DecisionTreeClassifier(random_state=5).fit(
        prepared.x[prepared.train], y[prepared.train], np.abs(w)[prepared.train].astype(np.float32)
    )
    auc = roc_auc_score(
        y[prepared.test],
        fitted.predict_proba(prepared.x[prepared.test])[:, 1],
        sample_weight=np.abs(w)[prepared.test].astype(np.float32),
    )
    assert baseline("tree", run.spec, run.schema, run.data_path, 1)["metrics"]["test.auc"] == pytest.approx(auc)


def test_regression_is_judged_in_the_targets_unit(bench: Bench) -> None:
    body = {**IRIS, "data": {"dataset": "diabetes", "preprocess": {"target_scale": "standard"}}, "metrics": []}
    run = bench.run(body)
    prepared = prepare(run.spec, run.schema, run.data_path)
    assert prepared.y is not None
    found = baseline("linear", run.spec, run.schema, run.data_path, 1)["metrics"]
    model = Ridge().fit(prepared.x[prepared.train], prepared.y[prepared.train][:, 0])
    unit = prepared.preparation.unscale_target
    y = unit(prepared.y[prepared.test].astype(np.float64))
    f = unit(model.predict(prepared.x[prepared.test]).astype(np.float64)[:, None])
    assert found["test.mse"] == pytest.approx(mean_squared_error(y, f), rel=1e-5)
    assert found["test.r2"] == pytest.approx(r2_score(y, f), rel=1e-5)
    boosted = baseline("boosting", run.spec, run.schema, run.data_path, 1)
    again = baseline("boosting", run.spec, run.schema, run.data_path, 1)
    assert boosted["metrics"] == again["metrics"]


def test_folds_are_averaged(bench: Bench) -> None:
    run = bench.run(IRIS | {"data": {"dataset": "iris", "split": {"folds": 3, "test": 0.2}}})
    found = baseline("tree", run.spec, run.schema, run.data_path, 1)["metrics"]
    each = []
    for fold in range(3):
        prepared = prepare(run.spec, run.schema, run.data_path, fold)
        assert prepared.y is not None
        model = DecisionTreeClassifier(random_state=5).fit(prepared.x[prepared.train], prepared.y[prepared.train])
        each.append(model.score(prepared.x[prepared.validation], prepared.y[prepared.validation]))
    assert found["validation.accuracy"] == pytest.approx(np.mean(each))


def test_a_forecasts_naive_is_its_last_value(bench: Bench) -> None:
    random = np.random.default_rng(1)
    values = np.cumsum(random.normal(size=(300, 2)), 0)
    lines = ["a,b", *(",".join(map(str, row)) for row in values)]
    (bench.folder / "walk.csv").write_text("\n".join(lines))
    bench.upload("walk", bench.folder / "walk.csv", "csv")
    flat = {"layers": [{"type": "flatten"}]}
    data = {"dataset": "walk", "window": {"length": 12, "horizon": 4, "columns": ["b"]}}
    run = bench.run({**IRIS, "data": data, "network": flat, "metrics": [], "baselines": ["naive", "linear"]})
    found = baseline("naive", run.spec, run.schema, run.data_path, 1)["metrics"]
    starts = prepare(run.spec, run.schema, run.data_path).test
    error = [values[s + 12 : s + 16, 1] - values[s + 11, 1] for s in starts.tolist()]
    assert found["test.mse"] == pytest.approx(np.square(error).mean(), rel=1e-4)
    assert found["test.mae"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert "test.scaled_mse" in found
    assert baseline("linear", run.spec, run.schema, run.data_path, 1)["metrics"]["test.mse"] > 0


def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children that never answer."""
    begin = Baselines._begin

    def later(self: Baselines) -> None:
        begin(self)
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGSTOP)

    monkeypatch.setattr(Baselines, "_begin", later)


def test_a_run_is_stopped_while_it_waits_and_goes_on_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    body = IRIS | {"baselines": ["tree"]}
    with monkeypatch.context() as patched:
        frozen(patched)
        began = time.monotonic()
        run = bench.run(body)
        events = list(train(run, lambda: StopReason.PAUSE if time.monotonic() > began + 3 else None))
        assert isinstance(events[-1], Stopped)
        assert not children()
    checkpoint = last(events, Checkpoint)
    again = bench.resumed(run, checkpoint)
    straight = last(bench.events(body), Finished)
    finished = last(again, Finished)
    assert finished.metrics == straight.metrics
    assert finished.baselines["tree"]["metrics"] == straight.baselines["tree"]["metrics"]


def test_a_child_that_dies_or_takes_too_long_is_told_and_fails_no_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    for event in train(bench.run(IRIS | {"baselines": ["tree", "linear"]}), lambda: None):
        events.append(event)
        if len(events) == 2 and children():
            children()[0].kill()
    found = last(events, Finished).baselines
    assert found["tree"]["error"]["code"] == "out_of_memory"
    assert found["linear"]["metrics"]
    frozen(monkeypatch)
    body = IRIS | {"baselines": ["tree"], "training": {"epochs": 1, "time_limit_s": 2}}
    assert last(bench.events(body), Finished).baselines["tree"]["error"]["code"] == "time_limit"
    assert not children()


def test_a_generator_that_is_dropped_leaves_no_child(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen(monkeypatch)
    events = train(bench.run(IRIS | {"baselines": ["tree"]}), lambda: None)
    next(events)
    next(events)
    assert children()
    events.close()  # type: ignore[attr-defined]
    assert not children()


def test_what_cannot_be_fitted_says_why(bench: Bench, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    np.savez(
        tmp_path / "one.npz",
        x=random.normal(size=(60, 2)),
        y=np.r_[np.zeros(50), np.ones(10)].astype(int),
        split=np.repeat(["train", "test"], [50, 10]),
    )
    bench.upload("one", tmp_path / "one.npz", "npz")
    run: Run = bench.run({**IRIS, "data": {"dataset": "one", "split": {"validation": 0}}, "baselines": ["linear"]})
    found = last(list(train(run, lambda: None)), Finished).baselines["linear"]
    assert found["error"]["code"] == "not_fitted"
    assert "class" in found["error"]["detail"]
