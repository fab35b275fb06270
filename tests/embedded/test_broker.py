"""Valkey as we start it: a unix socket, nothing else, and no predecessor beside it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from embedded import broker

Start = Callable[[Path], subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a broker in a folder and waits until it listens."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(folder: Path) -> subprocess.Popen[bytes]:
        broker.prepare(folder)
        process = subprocess.Popen(broker.command(folder), stdout=subprocess.DEVNULL)
        started.append(process)
        wait_until_it_answers(folder)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def wait_until_it_answers(folder: Path, timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            with client(folder) as connection:
                connection.ping()
                return
        except redis.RedisError:
            time.sleep(0.01)
    pytest.fail("the broker does not answer")


def client(folder: Path) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(broker.socket_path(folder)))


def test_it_listens_on_a_private_socket_and_no_port(tmp_path: Path, start: Start) -> None:
    process = start(tmp_path)
    assert psutil.Process(process.pid).net_connections("inet") == []
    assert stat.S_IMODE(broker.socket_path(tmp_path).stat().st_mode) == 0o700
    with client(tmp_path) as connection:
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert connection.config_get("appendonly") == {"appendonly": "yes"}


def test_messages_outlive_a_killed_broker(tmp_path: Path, start: Start) -> None:
    process = start(tmp_path)
    with client(tmp_path) as connection:
        connection.lpush("wake", "job_1")
        connection.bgrewriteaof()
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    start(tmp_path)
    with client(tmp_path) as connection:
        assert connection.lrange("wake", 0, -1) == [b"job_1"]


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_an_orphan_of_a_killed_keeper_is_ended(tmp_path: Path, start: Start, frozen: bool) -> None:
    orphan = start(tmp_path)
    if frozen:
        orphan.send_signal(signal.SIGSTOP)
    broker.prepare(tmp_path)
    assert orphan.wait(10) == -signal.SIGKILL
    start(tmp_path)


def test_a_stale_socket_is_no_obstacle(tmp_path: Path, start: Start) -> None:
    (tmp_path / "broker").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(broker.socket_path(tmp_path)))
    start(tmp_path)


def test_a_folder_with_a_long_name_gets_a_short_private_socket(tmp_path: Path, start: Start) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    path = broker.socket_path(folder)
    assert len(os.fsencode(path)) <= broker.LONGEST_SOCKET_PATH
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert broker.socket_path(folder) == path
    assert broker.socket_path(tmp_path / ("y" * 100)) != path
    start(folder)


def test_forgetting_empties_it(tmp_path: Path, start: Start) -> None:
    process = start(tmp_path)
    process.terminate()
    process.wait(10)
    assert any((tmp_path / "broker").iterdir())
    broker.forget(tmp_path)
    assert not any((tmp_path / "broker").iterdir())
