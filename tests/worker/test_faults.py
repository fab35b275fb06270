"""A worker that cannot do its part: no runner to be had, no room on its disk. The job is not to blame."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from core.db.session import Sessions
from core.engine import faults
from core.events import Failed
from core.queue import Queue
from core.storage.database import DatabaseStore
from tests.support.training import House
from tests.worker.test_exits import status_of
from worker import exits, posix, runner
from worker.cache import FileCache
from worker.forks import ForkServer
from worker.heart import Heart
from worker.held import HeldJob
from worker.options import Options
from worker.slots import Slots
from worker.supervisor import Supervisor
from worker.tools import Tools


@pytest.fixture
def tools(sessions: Sessions, store: DatabaseStore, tmp_path: Path) -> Tools:
    """Those of a worker whose fork server was never started."""
    options = Options(name="w", folder=tmp_path)
    forks = ForkServer(1, tmp_path / "tmp")
    forks.stop()
    queue = Queue(f"redis+socket://{tmp_path}/nobody.sock")
    return Tools(options, sessions, store, queue, forks, FileCache(options.cache, store, 1 << 20))


def test_a_worker_that_can_make_no_runner_leaves_the_jobs_to_others(tools: Tools, tmp_path: Path) -> None:
    house = House(tools.sessions, tools.store, tmp_path)
    job = house.submit()
    slots = Slots(tools, Heart(tools.options, tools.sessions, {}))
    assert slots._claim() is None
    assert house.row(job.id).status == "queued"


def test_a_job_for_which_no_runner_was_made_is_handed_back_without_blame(tools: Tools, tmp_path: Path) -> None:
    house = House(tools.sessions, tools.store, tmp_path)
    job = house.submit()
    held = HeldJob(house.take(), tools.options, beat=posix.boot_time())
    heart = Heart(tools.options, tools.sessions, {})
    with heart.holding([held]):
        Supervisor(tools, [held]).run()
        row = house.row(job.id)
        assert (row.status, row.crashes) == ("queued", 0)
        # the lease is gone because the run is over: that is no loss
        heart._look()
        assert not held.lost


def order(folder: Path) -> dict[str, Any]:
    return {
        "data": {},
        "prepared": {"folder": str(folder), "max_bytes": 0},
        "jobs": [{"job": "job_1", "workdir": str(folder)}],
    }


def test_a_full_disk_ends_the_process_and_not_the_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runner, "data_path", full)
    # the log stands on the same disk
    monkeypatch.setattr(faults.traceback, "print_exception", full)
    status = status_of(lambda: list(runner._events(order(tmp_path), {})))
    assert os.waitstatus_to_exitcode(status) == os.EX_IOERR
    assert "disk may be full" in exits.explain(status, exits.oom_kills())


def test_a_file_that_finds_no_memory_is_the_users_to_mend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unmapped(*_: Any) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(runner, "data_path", unmapped)
    ((job_id, failed),) = runner._events(order(tmp_path), {})
    assert job_id == "job_1"
    assert isinstance(failed, Failed)
    assert (failed.code, failed.pointer) == ("out_of_memory", "/training/batch_size")


def test_memory_that_several_used_up_is_the_fault_of_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PyTorch refuses with a RuntimeError; each is tried alone, as after any crash of a runner with company."""

    def refused(*_: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 131072 bytes")

    monkeypatch.setattr(runner, "data_path", refused)
    alone = order(tmp_path)
    ((_, failed),) = runner._events(alone, {})
    assert isinstance(failed, Failed)
    assert failed.code == "out_of_memory"
    together = alone | {"jobs": [*alone["jobs"], {"job": "job_2", "workdir": str(tmp_path)}]}
    status = status_of(lambda: list(runner._events(together, {})))
    assert os.waitstatus_to_exitcode(status) == exits.CROWDED
    assert "ran out of memory" in exits.explain(status, exits.oom_kills())


def test_one_that_is_refused_memory_in_company_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    word = Failed("out_of_memory", "the run needs more memory than a runner may use")
    monkeypatch.setattr(runner, "data_path", lambda *_: tmp_path)
    monkeypatch.setattr(runner, "_member", lambda *_: None)
    monkeypatch.setattr(runner, "train_together", lambda _: iter([(0, word)]))
    jobs = [{"job": f"job_{number}", "workdir": str(tmp_path)} for number in (1, 2)]
    asked = {job["job"]: runner.Asked() for job in jobs}
    status = status_of(lambda: list(runner._events(order(tmp_path) | {"jobs": jobs}, asked)))
    assert os.waitstatus_to_exitcode(status) == exits.CROWDED
    assert list(runner._events(order(tmp_path), asked)) == [("job_1", word)]
