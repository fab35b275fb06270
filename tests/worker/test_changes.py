"""Live changes through a real worker: made at the next step, and exact when runner or worker are killed after it."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import Any

from sqlalchemy import select

from core.changes import Change
from core.data.builtin import make_builtin
from core.db.session import reading, transaction
from core.db.tables import JobSpecs
from core.engine.run import Run, train
from core.events import Checkpoint
from core.services import changes, jobs
from core.services.job_view import JobChange, JobView
from core.services.principal import LOCAL
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec
from core.spec.limits import Limits
from tests.support.house import LONG, House, alive
from tests.support.service import wait_until

# small batches: the run must not be over before a test that polls twice a second has killed its second runner
LONGER: dict[str, Any] = {**LONG, "training": {**LONG["training"], "epochs": 120, "batch_size": 4}}


def change(house: House, job_id: str, patch: dict[str, Any]) -> JobView:
    """As the API does it."""
    with transaction(house.sessions) as session:
        view = changes.change(session, LOCAL, job_id, patch, Limits())
    house.queue.notify(job_id)
    return view


def made(house: House, job_id: str, number: int = 1) -> JobChange:
    def applied() -> JobChange | None:
        found = house.job(job_id).changes[number - 1]
        return found if found.status == "applied" else None

    found: JobChange = wait_until(applied, f"change {number}", 30)
    return found


def undisturbed(house: House, job_id: str, folder: Path) -> str:
    """sha256 of the last weights of the same job, changed at the same steps and never stopped."""
    with reading(house.sessions) as session:
        specs = session.scalars(select(JobSpecs).where(JobSpecs.job_id == job_id)).one()
        first = {name: value for entry in reversed(specs.changes or ()) for name, value in entry["before"].items()}
        told = [Change(entry["number"], entry["fields"], entry["step"]) for entry in specs.changes or ()]
        schema, resolved = DatasetSchema.model_validate(specs.schema), JobSpec.model_validate(specs.spec)
    optimizer = resolved.optimizer.model_copy(update={"lr": first.get("lr", resolved.optimizer.lr)})
    epochs = first.get("epochs", resolved.training.epochs)
    begun = resolved.model_copy(
        update={"optimizer": optimizer, "training": resolved.training.model_copy(update={"epochs": epochs})}
    )
    folder.mkdir()
    data = make_builtin(resolved.data.dataset, resolved.data.parameters, folder / "data").data_path
    events = train(Run(begun, schema, data, folder, changes=tuple(told)), lambda: None)
    return [event.content_sha256 for event in events if isinstance(event, Checkpoint)][-1]


def test_a_runner_that_is_killed_after_a_change_ends_with_the_same_bytes(house: House, tmp_path: Path) -> None:
    worker = house.start()
    job_id = house.submit(LONGER)
    house.until_epoch(job_id, 3)
    assert change(house, job_id, {"optimizer": {"lr": 0.01}, "training": {"epochs": 50}}).changes[0].status == "pending"
    step = made(house, job_id).step
    assert step
    for attempt in (2, 3):
        runner = worker.one("runner")
        os.kill(runner, signal.SIGKILL)
        wait_until(lambda killed=runner: not alive([killed]), "the end of the killed runner", 20)
        wait_until(lambda number=attempt: house.job(job_id).attempt == number, "the next attempt", 30)
    job = house.until(job_id, "succeeded")
    assert job.attempt == 3
    assert job.resume_exact is True
    assert [(each.status, each.step) for each in job.changes] == [("applied", step)]
    assert [row[1] for row in house.rows(job_id)] == list(range(1, 51))
    rates = {row[2]: row[3]["lr"] for row in house.rows(job_id)}
    assert all(rate == (0.01 if end > step else 0.001) for end, rate in rates.items())
    assert hashlib.sha256(house.weights(job_id)).hexdigest() == undisturbed(house, job_id, tmp_path / "straight")


def test_changes_reach_a_job_that_rests_or_whose_worker_is_being_replaced(any_house: House, tmp_path: Path) -> None:
    house = any_house
    worker = house.start()
    job_id = house.submit(LONGER)
    house.until_epoch(job_id, 3)
    house.ask(jobs.pause, job_id)
    house.until(job_id, "paused")
    change(house, job_id, {"optimizer": {"lr": 0.01}})
    house.ask(jobs.resume, job_id)
    made(house, job_id)
    # the worker is gone when the second is asked for; its successor finds it
    worker.end(signal.SIGKILL)
    change(house, job_id, {"training": {"epochs": 30, "early_stopping": None}})
    house.start()
    house.until(job_id, "succeeded")
    second = made(house, job_id, 2)
    assert second.step
    assert second.step >= (made(house, job_id).step or 0)
    assert house.job(job_id).spec["training"]["epochs"] == 30
    assert hashlib.sha256(house.weights(job_id)).hexdigest() == undisturbed(house, job_id, tmp_path / "straight")
