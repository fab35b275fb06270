"""A whole service as real processes, held by a test: API, broker, worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

REPOSITORY = Path(__file__).parents[2]
NETMILL = [str(Path(sys.executable).with_name("netmill"))]


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    """The first true value of `condition`; fails in words when there is none in time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail(f"not within {timeout_s:.0f} s: {what}")


@dataclass
class Service:
    """One `netmill up` and an HTTP client for it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    workers: int = 1
    process: subprocess.Popen[bytes] | None = None
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=70))

    def start(self) -> None:
        (self.folder / "server.json").unlink(missing_ok=True)
        log = (self.folder.parent / f"{self.folder.name}.log").open("ab")
        self.process = subprocess.Popen(
            [*NETMILL, "up", "--data-dir", str(self.folder), "--port", "0", "--workers", str(self.workers)],
            cwd=self.folder.parent,
            env={**os.environ, **self.environment},
            stdout=log,
            stderr=log,
        )
        answer = wait_until(self._address, f"{self.folder}/server.json")
        self.http = httpx.Client(base_url=answer["url"], timeout=70)
        wait_until(self._ready, "/readyz")

    def _address(self) -> Any:
        assert self.process
        assert self.process.poll() is None, f"netmill up ended with {self.process.returncode}: {self.log()[-2000:]}"
        file = self.folder / "server.json"
        return json.loads(file.read_text()) if file.exists() and file.read_text() else None

    def _ready(self) -> bool:
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def log(self) -> str:
        return (self.folder.parent / f"{self.folder.name}.log").read_text(errors="replace")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        assert self.process
        self.process.send_signal(how)
        self.process.wait(60)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs on this service's behalf, children of children too."""
        assert self.process
        mine = []
        for process in psutil.process_iter(["cmdline", "environ"]):
            text = " ".join(process.info["cmdline"] or []) + str(process.info["environ"] or {})
            if str(self.folder) in text and process.pid != os.getpid():
                mine.append(process)
        return mine

    def kill(self, module: str) -> None:
        """SIGKILL to the oldest process that was started as `python -m <module>`."""
        found = [p for p in self.processes() if f"-m {module}" in " ".join(p.cmdline())]
        assert found, f"no process of {module}"
        min(found, key=lambda p: p.create_time()).kill()

    def submit(self, spec: dict[str, Any]) -> str:
        answer = self.http.post("/v1/jobs", json=spec)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def until(self, job_id: str, status: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """The job once it has this status; another terminal one fails at once."""

        def there() -> dict[str, Any] | None:
            job = self.job(job_id)
            if job["status"] == status:
                return job
            assert not job["terminal"], f"{job['status']} instead of {status}: {job['error']}"
            return None

        return dict(wait_until(there, f"{job_id} {status}", timeout_s))

    def metrics(self, job_id: str) -> list[dict[str, Any]]:
        answer = self.http.get(f"/v1/jobs/{job_id}/metrics", params={"limit": 1000})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"])

    def weights(self, job_id: str) -> bytes:
        """The last checkpoint's file, as anybody would download it."""
        last = self.job(job_id)["result"]["last_checkpoint"]
        return self.http.get(f"/v1/checkpoints/{last}/content").content
