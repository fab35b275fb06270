"""`netmill up` as a user meets it: one owner, one port, what dies comes back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.service import NETMILL, Service, wait_until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("up") / "data")
    service.folder.mkdir()
    service.start()
    yield service
    if service.process and service.process.poll() is None:
        service.stop()


def refused(*arguments: str, **environment: str) -> str:
    """What an `up` that cannot start says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NETMILL_")}
    done = subprocess.run(
        [*NETMILL, "up", *arguments],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_says_when_it_is_ready_and_where(service: Service) -> None:
    written = json.loads((service.folder / "server.json").read_text())
    assert service.process
    assert written["pid"] == service.process.pid
    wait_until(lambda: f"ready at {written['url']}" in service.log(), "the line that says ready")
    assert str(service.folder) in service.log()


def test_a_second_owner_is_told_who_has_the_folder(service: Service) -> None:
    assert service.process
    said = refused("--data-dir", str(service.folder), "--port", "0")
    assert f"process {service.process.pid}" in said
    assert "--data-dir" in said


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port} on 127.0.0.1 is taken" in refused("--data-dir", str(tmp_path), "--port", port)


def test_others_are_not_let_in_without_a_key(tmp_path: Path) -> None:
    assert "NETMILL_ADMIN_KEY" in refused("--data-dir", str(tmp_path / "d"), "--host", "0.0.0.0", "--port", "0")
    assert not (tmp_path / "d").exists()


def test_a_refusal_in_json(tmp_path: Path) -> None:
    said = refused("--data-dir", str(tmp_path), "--host", "0.0.0.0", "--port", "0", "--json")
    assert json.loads(said)["error"]["code"] == "cannot_start"


def test_only_the_api_listens(service: Service) -> None:
    listening = {
        connection.laddr.port
        for process in service.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {service.http.base_url.port}


@pytest.mark.parametrize("module", ["api", "worker", "valkey"])
def test_what_dies_comes_back(service: Service, module: str) -> None:
    def alive() -> list[psutil.Process]:
        sign = "valkey-server" if module == "valkey" else f"-m {module}"
        return [
            process for process in service.processes() if " ".join(process.cmdline()).split(" unix")[0].endswith(sign)
        ]

    (victim,) = alive()
    victim.kill()
    victim.wait(10)
    wait_until(lambda: [process for process in alive() if process.pid != victim.pid], f"a new {module}", 20)
    wait_until(service._ready, "/readyz")
    job_id = service.submit(
        {"data": {"dataset": "iris"}, "network": {"family": "perceptron"}, "training": {"epochs": 1}}
    )
    service.until(job_id, "succeeded", 30)


def test_a_broker_that_cannot_read_its_file_starts_empty(service: Service) -> None:
    service.stop()
    files = list((service.folder / "broker" / "appendonlydir").glob("*.manifest"))
    assert files
    files[0].write_text("this is no manifest\n")
    service.start()
    job_id = service.submit(
        {"data": {"dataset": "iris"}, "network": {"family": "perceptron"}, "training": {"epochs": 1}}
    )
    service.until(job_id, "succeeded", 30)


def test_nothing_is_left(service: Service) -> None:
    processes = service.processes()
    assert len(processes) >= 5
    service.stop(signal.SIGINT)
    assert not psutil.wait_procs(processes, timeout=5)[1]
    assert not (service.folder / "server.json").exists()
    assert service.log().rstrip().endswith("stopped")


def test_a_foreign_folder_of_the_same_name_is_not_run(tmp_path: Path) -> None:
    """`python -m api` must find ours, not a package where the user stands."""
    for name in ("api", "worker", "core"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__main__.py").write_text("open('hijacked', 'w')")
    service = Service(tmp_path / "data")
    service.folder.mkdir()
    service.start()
    service.stop()
    assert not list(tmp_path.rglob("hijacked"))


def test_a_setting_that_no_part_would_start_with_is_said_at_once(tmp_path: Path) -> None:
    said = refused("--data-dir", str(tmp_path / "data"), "--port", "0", NETMILL_THREADS="many")
    assert "NETMILL_THREADS" in said
    assert not (tmp_path / "data").exists()


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    said = refused("--data-dir", str(tmp_path / "data"), "--port", "0")
    assert said.startswith(f"cannot start: {tmp_path / 'data'}: File exists; ")


@pytest.mark.parametrize("url", ["bogus", "postgresql+psycopg://u:hidden@127.0.0.1:9/x"])
def test_a_database_that_cannot_be_used_is_said_in_words(tmp_path: Path, url: str) -> None:
    said = refused("--data-dir", str(tmp_path / "data"), "--port", "0", DATABASE_URL=url)
    assert "DATABASE_URL" in said
    assert "hidden" not in said
