"""Runners of one machine train on one copy of large data."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support.house import House, WorkerProcess
from tests.support.service import wait_until

LARGE = {
    "data": {
        "dataset": "seasonal",
        "parameters": {"rows": 300_000},
        "target": "value",
        "preprocess": {"dates": "parts"},
    },
    "network": {"layers": [{"type": "linear", "units": 4}, {"type": "tanh"}]},
    "training": {"epochs": 200, "batch_size": 1024, "device": "cpu"},
}


def mapped(worker: WorkerProcess) -> list[tuple[str, str]]:
    """(device and inode, file) of the training rows that each runner of the worker maps."""
    found = []
    for pid in worker.children("runner"):
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if line.endswith("/train.x.npy"):
                _, access, _, device, inode, path = line.split()
                assert access == "r--s"
                found.append((f"{device} {inode}", path))
    return found


def test_runners_of_two_workers_map_one_file(house: House) -> None:
    workers = [house.start(NETMILL_COHORT_MAX="1") for _ in range(2)]
    for seed in range(2):
        house.submit({**LARGE, "training": {**LARGE["training"], "seed": seed}})
    maps = wait_until(lambda: all(map(mapped, workers)) and [mapped(worker) for worker in workers], "both train", 40)
    (first,), (second,) = maps
    assert first == second
    assert Path(first[1]).parent.parent == house.folder.resolve() / "prepared"
    for worker in workers:
        worker.end(signal.SIGKILL)
    assert [each.name for each in (house.folder / "prepared").iterdir()] == [Path(first[1]).parent.name]


def test_a_worker_that_may_keep_nothing_keeps_nothing(house: House) -> None:
    house.start(NETMILL_PREPARED_BYTES="0")
    job_id = house.submit({**LARGE, "training": {"epochs": 1, "batch_size": 4096, "device": "cpu"}})
    house.until(job_id, "succeeded")
    assert not (house.folder / "prepared").exists()
