"""A job in folds through a real worker: killed in the middle of it, and the model of its best fold predicts."""

from __future__ import annotations

import os
import signal
from typing import Any

from core.db.session import reading
from core.services import checkpoints
from core.services.principal import LOCAL
from tests.support.house import LONG, House, alive
from tests.support.service import wait_until

FOLDED: dict[str, Any] = {
    **LONG,
    "data": {"dataset": "digits", "split": {"folds": 3, "test": 0.1}},
    "training": {"epochs": 12, "batch_size": 2, "seed": 3},
}


def test_killed_within_and_between_folds_it_tells_the_same(house: House) -> None:
    worker = house.start()
    straight, job_id = house.submit(FOLDED), house.submit(FOLDED)
    expected = house.until(straight, "succeeded")
    assert expected.result
    for attempt, epoch in ((2, 4), (3, 13), (4, 26)):
        house.until_epoch(job_id, epoch)
        runner = worker.one("runner")
        os.kill(runner, signal.SIGKILL)
        wait_until(lambda killed=runner: not alive([killed]), "the end of the killed runner", 20)
        wait_until(lambda number=attempt: house.job(job_id).attempt == number, "the next attempt", 30)
    job = house.until(job_id, "succeeded")
    assert (job.attempt, job.resume_exact) == (4, True)
    assert job.result
    ids = {"best_checkpoint", "last_checkpoint"}
    assert {k: v for k, v in job.result.items() if k not in ids} == {
        k: v for k, v in expected.result.items() if k not in ids
    }
    assert house.rows(job_id) == house.rows(straight)
    assert len(house.rows(job_id)) == 3 * 12
    assert house.weights(job_id) == house.weights(straight)
    with reading(house.sessions) as session:
        best, other = (checkpoints.choose(session, LOCAL, each, "best") for each in (job_id, straight))
    assert best.sha256 == other.sha256
    assert best.step == job.result["best_step"]
    figures = job.result["folds"]["metrics"]
    assert best.monitor_value == min(figures["validation.loss"]["values"])
    assert job.result["metrics"]["test.accuracy"] == figures["test.accuracy"]["mean"] > 0.9
