"""Jobs through one living worker: trained, stopped by their user, disturbed, and none the worse for it."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.engine.compiler import find_compiler
from core.services import jobs
from tests.support.house import LONG, SHORT, House, WorkerProcess, alive
from tests.support.service import wait_until


@pytest.fixture(scope="module")
def straight(lived_in: tuple[House, WorkerProcess]) -> tuple[bytes, list[Any]]:
    """Weights and history of LONG when nobody disturbs it."""
    house, _ = lived_in
    job_id = house.submit(LONG)
    house.until(job_id, "succeeded")
    return house.weights(job_id), house.rows(job_id)


def same_as(straight: tuple[bytes, list[Any]], house: House, job_id: str) -> None:
    job = house.until(job_id, "succeeded")
    assert job.resume_exact is True, job.resume_note
    assert house.rows(job_id) == straight[1]
    assert house.weights(job_id) == straight[0]


def test_a_job_is_trained_and_leaves_nothing_on_disk(lived_in: tuple[House, WorkerProcess]) -> None:
    house, _ = lived_in
    job = house.until(house.submit(SHORT), "succeeded")
    assert job.result
    assert job.result["metrics"]["test.accuracy"] is not None
    assert [row[:2] for row in house.rows(job.id)] == [(1, 1), (2, 2), (3, 3)]
    (runs,) = (house.folder / "workers").glob("*/runs")
    wait_until(lambda: not list(runs.iterdir()), "an empty folder", 5)


def test_the_first_metric_and_the_end_come_quickly(
    lived_in: tuple[House, WorkerProcess], record_property: Callable[[str, object], None]
) -> None:
    house, _ = lived_in
    spec = {**LONG, "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]}}
    spec["training"] = {"epochs": 20, "batch_size": 32}
    first, whole = [], []
    for _ in range(7):
        job_id = house.submit(spec, wake=False)
        began = time.perf_counter()
        house.queue.publish_wake(job_id)
        wait_until(lambda job_id=job_id: house.column(job_id, "metric_seq"), "a row", 10)  # type: ignore[misc]
        first.append(time.perf_counter() - began)
        house.until(job_id, "succeeded")
        whole.append(time.perf_counter() - began)
    record_property("first_metric_ms", statistics.median(first) * 1000)
    record_property("whole_job_ms", statistics.median(whole) * 1000)
    # the targets are 100 ms and 800 ms on a machine of our own; here others may be at work
    assert statistics.median(first) < 0.6, first
    assert statistics.median(whole) < 3, whole


def test_a_running_job_is_cancelled_within_a_moment_and_keeps_its_work(lived_in: tuple[House, WorkerProcess]) -> None:
    house, worker = lived_in
    job_id = house.submit(LONG)
    house.until_epoch(job_id, 2)
    runner = worker.one("runner")
    began = time.monotonic()
    house.ask(jobs.cancel, job_id)
    job = house.until(job_id, "cancelled", 5)
    assert time.monotonic() - began < 3
    assert job.last_checkpoint
    wait_until(lambda: not alive([runner]), "the runner's end", 3)


def test_pause_frees_the_slot_and_resume_changes_no_bit(
    lived_in: tuple[House, WorkerProcess], straight: tuple[bytes, list[Any]]
) -> None:
    house, worker = lived_in
    job_id = house.submit(LONG)
    house.until_epoch(job_id, 5)
    house.ask(jobs.pause, job_id)
    house.until(job_id, "paused", 5)
    wait_until(lambda: not worker.children("runner"), "the runner's end", 3)
    house.until(house.submit(SHORT), "succeeded", 10)
    house.ask(jobs.resume, job_id)
    same_as(straight, house, job_id)


def test_a_killed_runner_is_one_crash_and_changes_no_bit(
    lived_in: tuple[House, WorkerProcess], straight: tuple[bytes, list[Any]]
) -> None:
    house, worker = lived_in
    job_id = house.submit(LONG)
    house.until_epoch(job_id, 4)
    os.kill(worker.one("runner"), signal.SIGKILL)
    wait_until(lambda: house.column(job_id, "fence") == 2, "a second attempt", 10)
    same_as(straight, house, job_id)


def test_a_killed_zygote_comes_back_and_changes_no_bit(
    lived_in: tuple[House, WorkerProcess], straight: tuple[bytes, list[Any]]
) -> None:
    house, worker = lived_in
    job_id = house.submit(LONG)
    house.until_epoch(job_id, 4)
    zygote, runner = worker.one("zygote"), worker.one("runner")
    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: not alive([zygote, runner]), "the end of zygote and runner", 3)
    same_as(straight, house, job_id)


def test_a_job_that_kills_its_runner_each_time_ends_after_three_crashes(lived_in: tuple[House, WorkerProcess]) -> None:
    house, worker = lived_in
    never_stored = {**LONG, "checkpoints": {"every_epochs": 1000}}
    never_stored["training"] = {**LONG["training"], "epochs": 900, "batch_size": 1}
    job_id = house.submit(never_stored)
    for attempt in (1, 2, 3):
        wait_until(lambda attempt=attempt: house.column(job_id, "fence") == attempt, f"attempt {attempt}", 15)  # type: ignore[misc]
        os.kill(worker.one("runner"), signal.SIGKILL)
        wait_until(lambda: house.job(job_id).status != "running", "the end of the attempt", 10)
    job = house.until(job_id, "failed", 10)
    assert job.error
    assert job.error["code"] == "worker_lost"
    assert "SIGKILL" in job.error["detail"]
    # and the worker is fine
    house.until(house.submit(SHORT), "succeeded", 10)


def test_a_stopped_runner_that_does_not_obey_is_killed_and_the_job_is_cancelled(
    lived_in: tuple[House, WorkerProcess],
) -> None:
    house, worker = lived_in
    job_id = house.submit(LONG)
    house.until_epoch(job_id, 2)
    runner = worker.one("runner")
    os.kill(runner, signal.SIGSTOP)
    house.ask(jobs.cancel, job_id)
    house.until(job_id, "cancelled", 20)
    assert not alive([runner])


def test_the_worker_never_loads_torch_and_its_children_know_no_secret(lived_in: tuple[House, WorkerProcess]) -> None:
    house, worker = lived_in
    job_id = house.submit(LONG)
    house.until_epoch(job_id, 1)
    runner = worker.one("runner")
    assert "libtorch" not in Path(f"/proc/{worker.pid}/maps").read_text()
    assert "_polars_runtime" not in Path(f"/proc/{worker.pid}/maps").read_text()
    environ = psutil.Process(runner).environ()
    assert not [name for name in environ if "DATABASE" in name or "REDIS" in name or name.startswith("NETMILL")]
    assert os.getsid(runner) == runner
    assert Path(f"/proc/{runner}/cwd").readlink().name == f"{job_id}.1"
    house.ask(jobs.cancel, job_id)
    house.until(job_id, "cancelled", 5)


def test_a_wake_up_may_be_doubled_or_wrong(lived_in: tuple[House, WorkerProcess]) -> None:
    house, _ = lived_in
    job_id = house.submit(SHORT)
    for _ in range(5):
        house.queue.publish_wake(job_id)
        house.queue.publish_wake("job_that_never_was")
    assert house.until(job_id, "succeeded").attempt == 1


def test_without_any_wake_up_the_worker_looks_by_itself(lived_in: tuple[House, WorkerProcess]) -> None:
    house, _ = lived_in
    house.until(house.submit(SHORT, wake=False), "succeeded", 10)


@pytest.mark.slow
@pytest.mark.skipif(find_compiler() is None, reason="no g++ that works with OpenMP and Python's headers")
def test_machine_code_is_kept_for_the_next_job_of_the_shape(lived_in: tuple[House, WorkerProcess]) -> None:
    house, _ = lived_in
    body = {**SHORT, "training": {**SHORT["training"], "compile": "always"}}
    house.until(house.submit(body), "succeeded", 120)
    (kept,) = house.folder.rglob("compiled")
    libraries = set(kept.rglob("*.so"))
    assert libraries
    house.until(house.submit(body), "succeeded", 120)
    assert set(kept.rglob("*.so")) == libraries
