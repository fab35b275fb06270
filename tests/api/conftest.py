"""The real application behind a real socket, on a real database; the worker's part is in the test's hands."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
import structlog
import uvicorn
from fastapi import FastAPI
from safetensors.numpy import save

from api.__main__ import Server
from api.app import create_app
from api.parts import Parts
from core.db.session import transaction
from core.events import Checkpoint, Event, Finished, Metrics, Started
from core.services import protocol, recording
from core.services.claims import Claim
from core.settings import Settings
from tests.conftest import DATABASES
from tests.support.postgres import empty_tables
from tests.support.service import wait_until

IRIS: dict[str, Any] = {
    "name": "iris",
    "data": {"dataset": "iris"},
    "network": {"layers": [{"type": "linear", "units": 8}, {"type": "relu"}]},
    "training": {"epochs": 3},
}
ADMIN = "nm_admin_0123456789abcdefghijklmnopqrstuvwxyz"
NO_BROKER = "redis://127.0.0.1:1/0"


@dataclass
class Live:
    """An application that serves, its parts, and a client for it."""

    app: FastAPI
    server: uvicorn.Server
    url: str
    http: httpx.Client
    folder: Path
    claims: dict[str, tuple[Claim, int]] = field(default_factory=dict)

    @property
    def parts(self) -> Parts:
        parts: Parts = self.app.state.parts
        return parts

    def submit(self, spec: dict[str, Any] | None = None, **headers: str) -> str:
        answer = self.http.post("/v1/jobs", json=spec or IRIS, headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def claim(self, job_id: str) -> None:
        """Takes the job as a worker would; others that wait before it are taken too."""
        while job_id not in self.claims:
            with transaction(self.parts.sessions) as session:
                claim = protocol.claim(session, worker_id="test", queue="wake.cpu", lease_s=60)
            assert claim, f"{job_id} is not queued"
            self.claims[claim.job_id] = (claim, 0)

    def record(self, job_id: str, *events: Event) -> None:
        """Writes what a run reported."""
        claim, batch = self.claims[job_id]
        with transaction(self.parts.sessions) as session:
            recording.record(session, self.parts.store, claim, events, batch=batch + 1)
        self.claims[job_id] = (claim, batch + 1)

    def epoch(self, job_id: str, epoch: int, **values: float) -> None:
        self.record(job_id, Metrics(epoch, 4 * epoch, {"train.loss": 1 / epoch, **values}, time=time.time()))

    def checkpoint(self, epoch: int) -> tuple[Checkpoint, bytes]:
        """A checkpoint's event, as the engine writes it, and its content."""
        content = save({"0.weight": np.full((8, 4), epoch, np.float32), "0.bias": np.zeros(8, np.float32)})
        paths = []
        for name, data in (("content", content), ("state", b"state" + content)):
            path = self.folder / f"{uuid4().hex}.{name}"
            path.write_bytes(data)
            paths += [str(path), hashlib.sha256(data).hexdigest()]
        return Checkpoint(epoch, 4 * epoch, *paths, True, "validation.loss", 1 / epoch), content

    def finish(self, job_id: str, epochs: int = 3) -> bytes:
        """Trains the job to its end; the content of its last checkpoint."""
        self.claim(job_id)
        self.record(job_id, Started(4, 4 * epochs, True, None, {"torch": "2.13.0"}))
        for epoch in range(1, epochs + 1):
            self.epoch(job_id, epoch)
        event, content = self.checkpoint(epochs)
        self.record(job_id, event, Finished(epochs, 4 * epochs, {"test.accuracy": 0.9}))
        return content


def free_settings(**changes: Any) -> Settings:
    """Settings of embedded mode without keys on loopback."""
    return Settings(**{"redis_url": NO_BROKER, "mode": "embedded", "auth": "off", "predict_wait_s": 1.0, **changes})


@contextmanager
def serving(settings: Settings) -> Iterator[Live]:
    """The application on a free port of loopback until the block ends."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    app = create_app(settings)
    server = Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=5), app)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "the server", 20)
        assert server.started
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        with httpx.Client(base_url=url, timeout=30) as http:
            yield Live(app, server, url, http, settings.data_dir)
    finally:
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive(), "the server did not end"


@pytest.fixture(autouse=True, scope="session")
def _plain_logs() -> Iterator[None]:
    """Structlog's own default draws tracebacks with all local variables, which takes seconds."""
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module", params=DATABASES)
def module_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated database for all tests of one file, of each kind in turn."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("api") / "netmill.db"
        shutil.copy(request.getfixturevalue("_migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    url: str = request.getfixturevalue("_migrated_postgres")
    empty_tables(url)
    yield url


@pytest.fixture(scope="module")
def live(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The application without keys; the tests of one file share it."""
    with serving(free_settings(database_url=module_database, data_dir=tmp_path_factory.mktemp("live"))) as live:
        yield live


@pytest.fixture(scope="module")
def guarded(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The application with keys; the client sends the admin's."""
    settings = free_settings(
        database_url=module_database, data_dir=tmp_path_factory.mktemp("guarded"), auth="keys", admin_key=ADMIN
    )
    with serving(settings) as live:
        live.http.headers["Authorization"] = f"Bearer {ADMIN}"
        yield live
