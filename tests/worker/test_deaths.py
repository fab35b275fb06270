"""Workers that die, hang, are told to go, or lose the database or the broker."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from typing import Any

from core.db.session import reading
from core.services import events, health
from core.services.principal import LOCAL
from tests.support.house import LONG, SHORT, House, WorkerProcess, alive
from tests.support.service import wait_until
from tests.support.valkey import Valkey

LONGER: dict[str, Any] = {**LONG, "training": {**LONG["training"], "epochs": 90}}
ENDLESS: dict[str, Any] = {**LONG, "training": {**LONG["training"], "epochs": 20_000, "compile": "never"}}


def freeze(house: House, worker: WorkerProcess) -> None:
    """SIGSTOP, at a moment when the worker does not hold SQLite's one lock: nobody could write while it did."""

    def frozen() -> bool:
        worker.send(signal.SIGSTOP)
        other = sqlite3.connect(house.database_url.removeprefix("sqlite:///"), isolation_level=None, timeout=0.2)
        try:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        except sqlite3.OperationalError:
            worker.send(signal.SIGCONT)
            return False
        finally:
            other.close()
        return True

    wait_until(frozen, "a freeze outside of a transaction", 20)


def test_a_runner_that_hangs_is_killed_and_its_job_goes_on(house: House) -> None:
    worker = house.start(NETMILL_STALL_S="1")
    job_id = house.submit(LONG)
    house.until_epoch(job_id, 3)
    runner = worker.one("runner")
    os.kill(runner, signal.SIGSTOP)
    wait_until(lambda: not alive([runner]), "the end of the hung runner", 20)
    assert house.until(job_id, "succeeded").attempt == 2
    with reading(house.sessions) as session:
        said = [event.data for event in events.page(session, LOCAL, job_id).data if event.type == "status"]
    assert any("the runner hung" in str(change.get("detail")) for change in said)


def test_a_killed_worker_leaves_nothing_and_its_successor_goes_on_at_once(house: House) -> None:
    straight = house.submit(LONGER)
    first = house.start(NETMILL_LEASE_S="60")
    house.until(straight, "succeeded")
    job_id = house.submit(LONGER)
    house.until_epoch(job_id, 8)
    family = first.family()
    assert len(family) >= 3
    first.end(signal.SIGKILL)
    wait_until(lambda: not alive(family), "the end of the whole family", 1)
    began = time.monotonic()
    house.start(NETMILL_LEASE_S="60")
    wait_until(lambda: house.column(job_id, "fence") == 2, "a second attempt, long before the lease ends", 40)
    assert time.monotonic() - began < 40
    job = house.until(job_id, "succeeded")
    assert job.resume_exact is True
    assert house.weights(job_id) == house.weights(straight)
    assert house.rows(job_id) == house.rows(straight)


def test_a_worker_that_is_told_to_go_hands_back_without_a_crash(any_house: House) -> None:
    worker = any_house.start()
    job_id = any_house.submit(ENDLESS)
    waiting = any_house.submit(SHORT)
    any_house.until_epoch(job_id, 5)
    family = worker.family()
    began = time.monotonic()
    assert worker.end() == 0
    assert time.monotonic() - began < 8
    assert not alive(family)
    job = any_house.job(job_id)
    assert job.status == "queued"
    assert job.last_checkpoint
    assert any_house.column(job_id, "crashes") == 0
    assert any_house.job(waiting).status == "queued"
    with reading(any_house.sessions) as session:
        assert health.workers(session) == []


def test_a_worker_without_a_broker_works_by_looking_and_hears_again_when_it_is_back(house: House) -> None:
    broker = house.broker = Valkey()
    try:
        worker = house.start(NETMILL_POLL_S="1")
        job_id = house.submit(SHORT, wake=False)
        house.until(job_id, "succeeded", 20)
        broker.start()
        job_id = house.submit(SHORT)
        house.until(job_id, "succeeded", 20)
        wait_until(lambda: not broker.client().llen("netmill:wake.cpu"), "the wake-up's consumption", 20)
        assert worker.end() == 0
    finally:
        broker.close()


def test_a_worker_that_was_frozen_for_longer_than_its_lease_kills_its_runner_and_writes_nothing(house: House) -> None:
    worker = house.start(NETMILL_LEASE_S="1.5", NETMILL_HEARTBEAT_S="0.3")
    job_id = house.submit(LONGER)
    house.until_epoch(job_id, 3)
    runner = worker.one("runner")
    freeze(house, worker)
    other = house.start(NETMILL_LEASE_S="20")
    wait_until(lambda: house.column(job_id, "fence") == 2, "the second worker's claim", 40)
    worker.send(signal.SIGCONT)
    wait_until(lambda: not alive([runner]), "the end of the first runner", 2)
    job = house.until(job_id, "succeeded")
    epochs = range(1, LONGER["training"]["epochs"] + 1)
    assert [row[:2] for row in house.rows(job_id)] == [(epoch, epoch) for epoch in epochs]
    assert job.resume_exact is True
    assert house.column(job_id, "fence") == 2
    assert other.process.poll() is None


def test_a_worker_cut_off_from_the_database_stops_its_runner_before_the_lease_ends(house: House) -> None:
    worker = house.start(NETMILL_LEASE_S="4", NETMILL_HEARTBEAT_S="0.5")
    job_id = house.submit(ENDLESS)
    house.until_epoch(job_id, 2)
    runner = worker.one("runner")
    lock = sqlite3.connect(house.database_url.removeprefix("sqlite:///"), isolation_level=None)
    began = time.monotonic()
    lock.execute("BEGIN EXCLUSIVE")
    try:
        wait_until(lambda: not alive([runner]), "the end of the runner", 4)
        assert time.monotonic() - began < 4
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    wait_until(lambda: house.column(job_id, "fence") == 2, "a second attempt", 20)


def test_a_runner_that_wants_too_much_memory_says_so(house: House) -> None:
    house.start(NETMILL_RUNNER_MEMORY_BYTES=str(700 * 1024**2))
    house.until(house.submit(SHORT), "succeeded")
    wide = {"layers": [{"type": "linear", "units": 6000}, {"type": "linear", "units": 6000}]}
    job_id = house.submit({**SHORT, "network": wide, "training": {"epochs": 1, "batch_size": "full"}})
    job = house.until(job_id, "failed")
    assert job.error
    assert job.error["code"] == "out_of_memory"
    assert job.error["hint"]


def test_a_second_worker_of_the_same_folder_is_a_second_worker(house: House) -> None:
    house.start()
    house.start()

    def both() -> bool:
        with reading(house.sessions) as session:
            return len(health.workers(session)) == 2

    wait_until(both, "two workers", 20)
    ids = [house.submit(ENDLESS) for _ in range(2)]
    wait_until(lambda: all(house.job(job_id).status == "running" for job_id in ids), "both at once", 20)
