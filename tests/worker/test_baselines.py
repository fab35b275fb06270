"""Baselines of a job that a real worker trains, also when its runner is killed meanwhile."""

from __future__ import annotations

import os
import signal

import psutil
from sqlalchemy import select

from core.db.session import reading
from core.db.tables import JobEvent
from tests.support.house import LONG, SHORT, House, WorkerProcess
from tests.support.service import wait_until


def fitting(house: House) -> list[psutil.Process]:
    """Processes that fit baselines for this house's jobs."""
    there = psutil.process_iter(["cmdline", "cwd"])
    ours = (each for each in there if str(each.info["cwd"]).startswith(str(house.folder)))
    return [each for each in ours if "core.engine.baselines.child" in (each.info["cmdline"] or [])]


def test_a_job_has_its_baselines_in_the_same_result(lived_in: tuple[House, WorkerProcess]) -> None:
    house, _ = lived_in
    job = house.until(house.submit({**SHORT, "baselines": ["linear", "tree"]}), "succeeded", 60)
    assert job.result
    assert list(job.result["baselines"]) == ["linear", "tree"]
    for each in job.result["baselines"].values():
        assert set(job.result["metrics"]) - {"test.loss"} <= each["metrics"].keys()
        assert each["time_s"] > 0
    with reading(house.sessions) as session:
        logs = session.scalars(select(JobEvent).where(JobEvent.job_id == job.id, JobEvent.type == "log"))
        said = [event.data["message"] for event in logs]
    assert [message.partition(":")[0] for message in said] == ["baseline linear", "baseline tree"]


def test_a_killed_runner_takes_its_baselines_along_and_the_job_has_them_in_the_end(
    lived_in: tuple[House, WorkerProcess],
) -> None:
    house, worker = lived_in
    job_id = house.submit({**LONG, "baselines": ["tree"]})
    house.until_epoch(job_id, 1)
    os.kill(worker.one("runner"), signal.SIGKILL)
    job = house.until(job_id, "succeeded", 90)
    assert job.result
    assert job.result["baselines"]["tree"]["metrics"]
    wait_until(lambda: not fitting(house), "the end of every child", 5)
