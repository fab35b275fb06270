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
from typing import Any

import psutil
import pytest

from core.data.builtin import make_builtin
from core.spec.limits import Limits
from core.spec.plan import check_job
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
    assert environment["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path.with_name("compiled"))
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


@pytest.fixture(scope="module")
def prompt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """A fork server with a runner made ahead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", "postgresql://user:secret@host/db")
        server = ForkServer(1, tmp_path_factory.mktemp("prompt"), spares=1)
    server.start()
    yield server
    server.stop()


def spare_of(server: ForkServer) -> int:
    """The process id of the spare, once there is one."""

    def found() -> list[int]:
        children = psutil.Process(server.pid).children() if server.pid else []
        return [child.pid for child in children if comm(child.pid) == "netmill-spare"]

    return int(wait_until(found, "a spare", 20)[0])


def comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def trained(child: Child, folder: Path) -> list[dict[str, Any]]:
    """What a runner tells of a small job, without times and paths."""
    data = make_builtin("moons", {}, folder / "data")
    body = {"data": {"dataset": "moons"}, "network": {"layers": [{"type": "linear", "units": 8}, {"type": "dropout"}]}}
    spec = check_job({**body, "training": {"epochs": 2, "device": "cpu"}}, lambda _: data.schema, Limits()).spec
    job = {"job": "job_1", "spec": spec.model_dump(mode="json"), "schema": None, "workdir": str(folder / "run")}
    terms = {
        "checkpoint_every_s": 30.0,
        "threads": 1,
        "memory_bytes": 0,
        "prepared": {"folder": "prepared", "max_bytes": 0},
        "schema": data.schema.model_dump(mode="json"),
    }
    stands = {"path": str(data.data_path), "builtin": None, "parameters": None}
    child.send({**terms, "data": stands, "jobs": [{**job, "changes": [], "resume": None}]})
    told = b""
    while data_read := os.read(child.events, 1 << 16):
        told += data_read
    changing = {"time", "content_path", "state_path", "eta_s", "samples_per_s"}
    events = [{k: v for k, v in json.loads(line).items() if k not in changing} for line in told.splitlines()]
    return [event for event in events if event["event"] not in ("progress", "warning")]


def test_a_runner_made_ahead_is_given_out_and_replaced(prompt: ForkServer) -> None:
    spare = spare_of(prompt)
    assert "secret" not in Path(f"/proc/{spare}/environ").read_text()
    child = prompt.fork("run")
    assert child.pid == spare
    child.close()
    assert spare_of(prompt) != spare


def test_a_rehearsed_runner_trains_the_same_bits(prompt: ForkServer, forks: ForkServer, tmp_path: Path) -> None:
    spare_of(prompt)
    told = []
    for name, server in (("rehearsed", prompt), ("fresh", forks)):
        child = server.fork("run")
        told.append(trained(child, tmp_path / name))
        child.close()
    assert [event["event"] for event in told[0]] == ["started", "metrics", "metrics", "checkpoint", "finished"]
    assert told[0] == told[1]


def test_a_spare_that_died_is_not_given_out(prompt: ForkServer, tmp_path: Path) -> None:
    spare = spare_of(prompt)
    os.kill(spare, signal.SIGKILL)
    wait_until(lambda: dead(spare), "the spare's death", 2)
    child = prompt.fork("run")
    assert child.pid != spare
    assert trained(child, tmp_path)[-1]["event"] == "finished"
    child.close()


def test_a_new_fork_server_makes_new_spares(prompt: ForkServer, tmp_path: Path) -> None:
    spare = spare_of(prompt)
    assert prompt.pid
    os.kill(prompt.pid, signal.SIGKILL)
    wait_until(lambda: dead(spare), "the end of the spare", 2)
    child = prompt.fork("run")
    assert trained(child, tmp_path)[-1]["event"] == "finished"
    child.close()
    spare_of(prompt)


def test_no_spare_is_left_when_the_server_ends(tmp_path: Path) -> None:
    server = ForkServer(1, tmp_path, spares=2)
    server.start()
    pids = [server.pid, spare_of(server)]
    server.stop()
    wait_until(lambda: all(pid is None or dead(pid) for pid in pids), "the end of both", 2)


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
