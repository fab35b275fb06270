"""Analyses and experiments through a living worker: computed in a process of their own, answered once."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from core.db.session import reading, transaction
from core.db.tables import Analysis
from core.services import analyses, jobs, lab
from core.services.analyses import AnalysisView
from core.services.principal import LOCAL
from core.spec.limits import Limits
from tests.support.house import LONG, SHORT, House, WorkerProcess
from tests.support.service import wait_until

RACE: dict[str, Any] = {"surface": "rosenbrock", "steps": 50, "optimizers": ["adam", {"type": "sgd", "lr": 100.0}]}
ON_NETWORK: dict[str, Any] = {
    "network": {"family": "feed_forward", "hidden": [8]},
    "data": {"dataset": "moons"},
    "steps": 20,
    "optimizers": ["adam", "rmsprop"],
}
INIT: dict[str, Any] = {"combinations": [{"activation": "sigmoid", "init": "xavier"}], "depth": 8, "width": 32}
# minutes of one core
SLOW: dict[str, Any] = {
    "network": {"family": "deep_feed_forward", "hidden": [400, 400, 400]},
    "data": {"dataset": "digits"},
    "batch_size": "full",
    "steps": 10_000,
    "optimizers": ["adam"],
}


@pytest.fixture(scope="module")
def trained(lived_in: tuple[House, WorkerProcess]) -> str:
    house, _ = lived_in
    job_id = house.submit(SHORT)
    house.until(job_id, "succeeded")
    return job_id


def put(house: House, job_id: str | None, body: dict[str, Any], kind: str = "") -> AnalysisView:
    with transaction(house.sessions) as session:
        if job_id is not None:
            view, _ = analyses.ask(session, LOCAL, job_id, body, Limits())
        else:
            view, _ = lab.ask(session, LOCAL, kind, body, Limits())
    house.queue.publish_analysis(view.id)
    return view


def read(house: House, view: AnalysisView) -> AnalysisView:
    with reading(house.sessions) as session:
        return analyses.get(session, LOCAL, view.id, job_id=view.job_id)


def done(house: House, view: AnalysisView, timeout_s: float = 40) -> AnalysisView:
    def over() -> AnalysisView | None:
        found = read(house, view)
        return found if found.over else None

    return wait_until(over, "an answer", timeout_s)  # type: ignore[no-any-return]


def answered(house: House, view: AnalysisView) -> dict[str, Any]:
    view = done(house, view)
    assert view.status == "succeeded", view.error
    data = analyses.read_data(house.store, view)
    assert data is not None
    return data


def computing(house: House, view: AnalysisView) -> None:
    wait_until(lambda: read(house, view).status == "running", "its beginning", 20)


def test_a_checkpoint_is_analysed_with_the_data_of_its_job(lived_in: tuple[House, WorkerProcess], trained: str) -> None:
    house, _ = lived_in
    data = answered(house, put(house, trained, {"type": "confusion"}))
    assert data["type"] == "confusion"
    assert data["split"] == "test"


def test_optimizers_race_down_a_surface(lived_in: tuple[House, WorkerProcess]) -> None:
    house, _ = lived_in
    data = answered(house, put(house, None, RACE, "optimizers"))
    adam, sgd = data["optimizers"]
    assert len(adam["path"]) == 51
    assert sgd["diverged"]
    assert data["non_finite"] == [sgd["name"]]


def test_optimizers_race_on_a_network(lived_in: tuple[House, WorkerProcess]) -> None:
    house, _ = lived_in
    data = answered(house, put(house, None, ON_NETWORK, "optimizers"))
    first, second = data["optimizers"]
    assert first["loss"][0] == second["loss"][0]
    assert len(first["loss"]) == 20


def test_signals_go_through_layers(lived_in: tuple[House, WorkerProcess]) -> None:
    house, _ = lived_in
    data = answered(house, put(house, None, INIT, "init"))
    assert len(data["combinations"][0]["activation_std"]) == 8


def test_a_killed_process_costs_a_crash_and_the_answer_comes_all_the_same(
    lived_in: tuple[House, WorkerProcess],
) -> None:
    house, worker = lived_in
    view = put(house, None, {**SLOW, "seed": 1}, "optimizers")
    computing(house, view)
    os.kill(worker.one("analyse"), signal.SIGKILL)
    wait_until(lambda: crashes(house, view) == 1 and read(house, view).status == "running", "a second try", 20)
    os.kill(worker.one("analyse"), signal.SIGKILL)
    failed = done(house, view)
    assert failed.error is not None
    assert failed.error["code"] == "worker_lost"
    assert answered(house, put(house, None, {**RACE, "steps": 7}, "optimizers"))["steps"] == 7


def test_what_is_slow_holds_up_neither_training_nor_others_after_it_is_deleted(
    lived_in: tuple[House, WorkerProcess], trained: str
) -> None:
    house, worker = lived_in
    view = put(house, None, {**SLOW, "seed": 2}, "optimizers")
    computing(house, view)
    house.until(house.submit(SHORT), "succeeded")
    assert read(house, view).status == "running"
    with transaction(house.sessions) as session:
        session.delete(session.get_one(Analysis, view.id))
    assert answered(house, put(house, trained, {"type": "confusion", "normalize": "all"}))
    assert len(worker.children("analyse")) == 1


def handles_sigterm(pid: int) -> bool:
    """Whether a handler is installed; a worker begins to compute before Celery installs its own."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def crashes(house: House, view: AnalysisView) -> int:
    with reading(house.sessions) as session:
        return session.get_one(Analysis, view.id).crashes


def test_time_is_bounded(house: House) -> None:
    house.start(NETMILL_ANALYSIS_S="1")
    failed = done(house, put(house, None, {**SLOW, "seed": 3}, "optimizers"))
    assert failed.error is not None
    assert failed.error["code"] == "time_limit"
    assert answered(house, put(house, None, RACE, "optimizers"))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_dies_or_leaves_in_the_middle_is_followed_by_another(
    any_house: House, how: signal.Signals
) -> None:
    house = any_house
    first = house.start(NETMILL_WORKER_NAME="one")
    view = put(house, None, {**SLOW, "seed": 4}, "optimizers")
    computing(house, view)
    wait_until(lambda: handles_sigterm(first.pid), "its signal handlers", 20)
    first.end(how)
    second = house.start(NETMILL_WORKER_NAME="two")
    with transaction(house.sessions) as session:
        # the rest of it is quick, so that the answer is seen
        row = session.get_one(Analysis, view.id, with_for_update=True)
        assert row.worker == ("one" if how is signal.SIGKILL else None)
        row.request, row.training = {**row.request, "steps": 3}, row.training
    assert answered(house, view)["steps"] == 3
    assert crashes(house, view) == (how is signal.SIGKILL)
    assert second.process.poll() is None


def test_a_job_can_be_deleted_under_its_analysis(lived_in: tuple[House, WorkerProcess]) -> None:
    house, _ = lived_in
    job_id = house.submit({**LONG, "training": {"epochs": 1, "batch_size": 512}})
    house.until(job_id, "succeeded")
    put(house, job_id, {"type": "confusion"})
    with transaction(house.sessions) as session:
        jobs.delete(session, house.store, LOCAL, job_id)
    assert answered(house, put(house, None, {**RACE, "steps": 8}, "optimizers"))
