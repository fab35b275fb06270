"""An API process of its own on a database of its own, for those who measure it; the worker's part is played here."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine

from benchmarks.service.load import load, request
from core.db import migrate
from core.db.session import Sessions, make_engine, make_sessions, transaction
from core.events import Event, Finished, Metrics, Progress, Started
from core.queue import Queue
from core.services import jobs, protocol, recording
from core.services.claims import Claim
from core.services.keys import ensure_admin
from core.services.principal import LOCAL
from core.spec.limits import Limits
from core.storage.choose import open_store
from core.storage.store import BlobStore
from tests.support.postgres import create_database, postgres_server
from tests.support.valkey import Valkey

KEY = "nm_bench_0123456789abcdefghijklmnopqrstuvwxyz"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
DIGITS: dict[str, Any] = {
    "name": "digits",
    "data": {"dataset": "digits"},
    "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]},
    "optimizer": {"type": "adam", "lr": 0.001},
    "training": {"epochs": 20, "batch_size": 32},
}
VALUES = ("train.loss", "train.accuracy", "validation.loss", "validation.accuracy", "lr", "grad_norm")


@dataclass
class House:
    """The database, the process that serves it, and what a worker would do."""

    address: tuple[str, int]
    process: psutil.Process
    engine: Engine
    sessions: Sessions
    store: BlobStore
    queue: Queue
    claims: dict[str, tuple[Claim, int]] = field(default_factory=dict)
    epochs: Iterator[int] = field(default_factory=lambda: itertools.count(1000))
    """Numbers for rows that come later."""

    def submit(self, spec: Mapping[str, Any] = DIGITS) -> str:
        """A queued job."""
        with transaction(self.sessions) as session:
            return jobs.submit(session, LOCAL, dict(spec), Limits()).id

    def start(self, rows: int = 0) -> str:
        """A running job with so many rows of history."""
        job_id = self.submit()
        with transaction(self.sessions) as session:
            claim = protocol.claim(session, worker_id="bench", queue="wake.cpu", lease_s=3600)
        assert claim
        assert claim.job_id == job_id
        self.claims[job_id] = (claim, 0)
        self.record(job_id, Started(45, 900, True, None, {"torch": "2.13.0", "device": "cpu", "threads": 1}))
        for epoch in range(1, rows + 1):
            self.epoch(job_id, epoch)
        return job_id

    def record(self, job_id: str, *events: Event) -> None:
        """Writes what a run reported."""
        claim, batch = self.claims[job_id]
        with transaction(self.sessions) as session:
            recording.record(session, self.store, claim, events, batch=batch + 1)
        self.claims[job_id] = (claim, batch + 1)

    def epoch(self, job_id: str, epoch: int) -> None:
        """One more row."""
        values = {name: (place + 1) / (epoch + 7) for place, name in enumerate(VALUES)}
        progress = Progress(epoch, 20, 45 * epoch, 900, 1.5, 123456.7)
        self.record(job_id, Metrics(epoch, 45 * epoch, values, time=time.time()), progress)

    def finish(self, job_id: str) -> None:
        """Ends the job well."""
        self.record(job_id, Finished(20, 900, {"test.loss": 0.11, "test.accuracy": 0.97}))

    def notify(self, job_id: str) -> None:
        """Hints that there is something new of the job, as its worker does."""
        self.queue.notify(job_id)

    def get(self, path: str, **headers: str) -> bytes:
        """One request on the wire, with the key."""
        return request("GET", path, {**AUTHORIZED, **headers})

    def cpu_s(self) -> float:
        """Processor seconds of the process and its children so far."""
        times = [process.cpu_times() for process in self._processes()]
        return float(sum(one.user + one.system for one in times))

    def pss_mib(self) -> float:
        """Memory of the process and its children; shared pages are counted once."""
        return float(sum(process.memory_full_info().pss for process in self._processes())) / 2**20

    def _processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a new database, `sqlite` or `postgres`, with all tables."""
    with ExitStack() as stack:
        if kind == "sqlite":
            url = f"sqlite:///{folder / 'netmill.db'}"
        else:
            url = create_database(stack.enter_context(postgres_server()), "bench")
        migrate.upgrade(url)
        yield url


@contextmanager
def house(kind: str = "sqlite", *, command: tuple[str, ...] = ("-m", "api"), auth: str = "keys") -> Iterator[House]:
    """One API process, ready, on a database of this kind; ended at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="netmill-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        url = stack.enter_context(database(kind, folder))
        broker = Valkey()
        stack.callback(broker.close)
        broker.start()
        engine = make_engine(url)
        stack.callback(engine.dispose)
        sessions = make_sessions(engine)
        with transaction(sessions) as session:
            ensure_admin(session, KEY)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        settings = {"DATABASE_URL": url, "REDIS_URL": broker.url, "NETMILL_DATA_DIR": str(folder)}
        settings |= {"NETMILL_MODE": "embedded", "NETMILL_AUTH": auth, "NETMILL_ADMIN_KEY": KEY}
        settings |= {"NETMILL_PORT": str(port)}
        log = folder / "api.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, *(part.format(port=port) for part in command)],
                env={**os.environ, **settings},
                stdout=out,
                stderr=out,
            )
        stack.callback(_end, process)
        _until_ready(("127.0.0.1", port), process, log)
        store, queue = open_store(sessions, "database"), Queue(broker.url)
        stack.callback(queue.close)
        yield House(("127.0.0.1", port), psutil.Process(process.pid), engine, sessions, store, queue)


def _until_ready(address: tuple[str, int], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    ask = request("GET", "/healthz")
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        try:
            load(address, lambda _, __: ask, connections=1, seconds=0.01)
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(log.read_text())


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
