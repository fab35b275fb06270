"""The fork server with real processes: quick, clean, and gone with its worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.service import REPOSITORY, wait_until
from worker.forks import Child, ForkServer, child_environment
from worker.questions import Answerer

SETTINGS = {"memory_bytes": 0, "threads": 1}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def forks(scratch: Path) -> Iterator[ForkServer]:
    os.environ["DATABASE_URL"] = "postgresql://user:secret@host/db"
    server = ForkServer(1, scratch)
    server.start()
    server.fork("predict").close()
    yield server
    server.stop()
    del os.environ["DATABASE_URL"]


def predictor(forks: ForkServer, scratch: Path) -> Child:
    """A child that has answered once, so it is past its start."""
    child = forks.fork("predict")
    child.send({**SETTINGS, "workdir": str(scratch)})
    child.send({"id": "q", "sha256": "none", "content": str(scratch / "none"), "request": {}})
    assert json.loads(os.read(child.events, 65536))["id"] == "q"
    return child


def dead(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_child_is_there_in_milliseconds(forks: ForkServer, scratch: Path) -> None:
    took = []
    for _ in range(5):
        began = time.perf_counter()
        child = predictor(forks, scratch)
        took.append(time.perf_counter() - began)
        child.close()
    assert sorted(took)[2] < 0.5, took


def test_the_server_has_one_computing_thread_and_no_secret(forks: ForkServer) -> None:
    assert forks.pid
    names = {(task / "comm").read_text().strip() for task in Path(f"/proc/{forks.pid}/task").iterdir()}
    assert names <= {"netmill-zygote", "polars-ooc-clea"}
    environ = Path(f"/proc/{forks.pid}/environ").read_text()
    assert "secret" not in environ
    assert "DATABASE_URL" not in environ


def test_the_environment_passes_on_what_cuda_needs_and_little_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("NETMILL_ADMIN_KEY", "nm_secret")
    environment = child_environment(3, tmp_path)
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert environment["OMP_NUM_THREADS"] == "3"
    assert not [name for name in environment if name.startswith(("NETMILL", "REDIS", "DATABASE"))]


def test_a_child_leads_its_own_session_and_holds_no_pipe_of_another(forks: ForkServer, scratch: Path) -> None:
    first, second = predictor(forks, scratch), predictor(forks, scratch)
    assert os.getsid(second.pid) == second.pid
    pipes = [str(link.readlink()) for link in Path(f"/proc/{second.pid}/fd").iterdir()]
    assert len([pipe for pipe in pipes if pipe.startswith("pipe:")]) <= 4  # its own two, and perhaps 1 and 2
    limits = Path(f"/proc/{second.pid}/limits").read_text()
    assert "Max core file size        0" in limits
    second.close()
    # the first one hears of its end although the second was forked from the same server after it
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait_exit(2)
    assert first.status == signal.SIGKILL
    first.close()


def test_a_child_ends_when_its_control_pipe_closes(forks: ForkServer, scratch: Path) -> None:
    child = predictor(forks, scratch)
    os.close(child._control)
    child._control = -1
    assert child.wait_exit(1)
    child.close()


def test_a_killed_server_is_replaced_and_its_children_die_with_it(forks: ForkServer, scratch: Path) -> None:
    child = predictor(forks, scratch)
    first = forks.pid
    assert first
    os.kill(first, signal.SIGKILL)
    assert child.wait_exit(2)
    assert child.status is None
    wait_until(lambda: dead(child.pid), "the child's death", 2)
    child.close()
    predictor(forks, scratch).close()
    assert forks.pid != first


def test_a_process_that_nobody_asks_ends_and_the_next_question_has_another(forks: ForkServer, scratch: Path) -> None:
    answerer = Answerer(forks, "predict", {**SETTINGS, "workdir": str(scratch)})
    question = {"id": "q", "sha256": "none", "content": str(scratch / "none"), "request": {}}
    answerer.ask(question, 20)
    first = answerer.pid
    assert first
    answerer.close_idle(100)
    assert answerer.pid == first
    answerer.close_idle(0)
    assert answerer.pid is None
    assert dead(first)
    answerer.ask(question, 20)
    assert answerer.pid not in (None, first)
    answerer.close()


def test_a_process_that_died_unasked_costs_no_answer(forks: ForkServer, scratch: Path) -> None:
    answerer = Answerer(forks, "predict", {**SETTINGS, "workdir": str(scratch)})
    question = {"id": "q", "sha256": "none", "content": str(scratch / "none"), "request": {}}
    for _ in range(5):
        answerer.ask(question, 20)
        assert answerer.pid
        os.kill(answerer.pid, signal.SIGKILL)
    answerer.close()


WORKER = """
import os, sys, time
from pathlib import Path
from worker.forks import ForkServer
forks = ForkServer(1, Path(sys.argv[1]))
forks.start()
child = forks.fork("predict")
child.send({"memory_bytes": 0, "threads": 1, "workdir": sys.argv[1]})
assert "torch" not in sys.modules
print(forks.pid, child.pid, flush=True)
time.sleep(60)
"""


def test_nothing_outlives_a_killed_worker(tmp_path: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout
    with worker.stdout:
        pids = [int(pid) for pid in worker.stdout.readline().split()]
        assert len(pids) == 2
        worker.kill()
        worker.wait()
    wait_until(lambda: all(map(dead, pids)), "the end of zygote and child", 1)
