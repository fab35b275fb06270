"""A worker as a real process, on a real database and a real broker, in the hands of a test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select

from core.db import tables
from core.db.session import Sessions, make_engine, make_sessions, reading, transaction
from core.queue import Queue
from core.services import checkpoints, jobs, metrics
from core.services.job_view import JobView
from core.services.principal import LOCAL
from core.spec.limits import Limits
from core.storage.choose import open_store
from tests.support.service import REPOSITORY, wait_until
from tests.support.valkey import Valkey

# Times of a worker in tests, short enough to wait for and long enough for a busy machine.
QUICK = {
    "NETMILL_LEASE_S": "6",
    "NETMILL_HEARTBEAT_S": "1",
    "NETMILL_CONTROL_S": "0.1",
    "NETMILL_FLUSH_S": "0.1",
    "NETMILL_POLL_S": "1",
    "NETMILL_SWEEP_S": "1",
    "NETMILL_BACKOFF_S": "0.1",
    "NETMILL_DRAIN_S": "10",
    "NETMILL_STOP_S": "2",
    "NETMILL_PREDICT_WAIT_S": "4",
    "NETMILL_THREADS": "1",
}

SHORT: dict[str, Any] = {
    "data": {"dataset": "iris"},
    "network": {"layers": [{"type": "linear", "units": 8}, {"type": "relu"}]},
    "training": {"epochs": 3},
}
LONG: dict[str, Any] = {
    "data": {"dataset": "digits"},
    "network": {"layers": [{"type": "linear", "units": 64}, {"type": "relu"}, {"type": "dropout", "p": 0.2}]},
    "optimizer": {"type": "adam", "lr": 0.001},
    "training": {"epochs": 60, "batch_size": 4, "seed": 3},
}


def alive(pids: list[int]) -> list[int]:
    """Those of the processes that run."""
    return [pid for pid in pids if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE  # type: ignore[no-any-return]
    except psutil.NoSuchProcess:
        return False


@dataclass
class WorkerProcess:
    """One `python -m worker`."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def family(self) -> list[int]:
        return [self.pid, *(child.pid for child in psutil.Process(self.pid).children(recursive=True))]

    def children(self, name: str) -> list[int]:
        """Zygote, runners or prediction processes, by the name they give themselves."""
        found = []
        for child in psutil.Process(self.pid).children(recursive=True):
            try:
                comm = Path(f"/proc/{child.pid}/comm").read_text().strip()
            except OSError:
                continue
            if comm == f"netmill-{name}"[:15]:
                found.append(child.pid)
        return found

    def one(self, name: str) -> int:
        return int(wait_until(lambda: self.children(name), f"a {name} of the worker", 20)[0])

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.send(how)
        return self.process.wait(30)


@dataclass
class House:
    """A database, a broker and a folder that workers share, and the services as a user would call them."""

    folder: Path
    database_url: str
    broker: Valkey
    sessions: Sessions
    workers: list[WorkerProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = open_store(self.sessions, "database")
        self.queue = Queue(self.broker.url)

    def start(self, **environment: str) -> WorkerProcess:
        log = self.folder / "worker.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "worker"],
                cwd=REPOSITORY,
                stdout=out,
                stderr=out,
                env={
                    **os.environ,
                    **QUICK,
                    "DATABASE_URL": self.database_url,
                    "REDIS_URL": self.broker.url,
                    "NETMILL_DATA_DIR": str(self.folder),
                    "NETMILL_ADMIN_KEY": "nm_secret",
                    **environment,
                },
            )
        worker = WorkerProcess(process, log)
        self.workers.append(worker)
        return worker

    def submit(self, spec: dict[str, Any], *, wake: bool = True) -> str:
        with transaction(self.sessions) as session:
            job_id = jobs.submit(session, LOCAL, spec, Limits()).id
        if wake:
            self.queue.publish_wake(job_id)
        return str(job_id)

    def submit_all(self, specs: Sequence[dict[str, Any]]) -> list[str]:
        """Queued at one moment, so that whoever comes finds them all."""
        with transaction(self.sessions) as session:
            ids = [str(jobs.submit(session, LOCAL, spec, Limits()).id) for spec in specs]
        for job_id in ids:
            self.queue.publish_wake(job_id)
        return ids

    def ask(self, action: Any, job_id: str) -> JobView:
        """Cancel, pause or resume, as the API does it."""
        with transaction(self.sessions) as session:
            view: JobView = action(session, LOCAL, job_id)
        if view.status == "queued":
            self.queue.publish_wake(job_id)
        return view

    def job(self, job_id: str) -> JobView:
        with reading(self.sessions) as session:
            return jobs.get(session, LOCAL, job_id)

    def until(self, job_id: str, status: str, timeout_s: float = 60.0) -> JobView:
        def there() -> JobView | None:
            job = self.job(job_id)
            assert not job.terminal or job.status == status, f"{job.status} instead of {status}: {job.error}"
            return job if job.status == status else None

        try:
            return wait_until(there, f"{job_id} {status}", timeout_s)  # type: ignore[no-any-return]
        except BaseException:
            sys.stderr.write(self.logs()[-6000:])
            raise

    def until_epoch(self, job_id: str, epoch: int) -> None:
        def there() -> bool:
            job = self.job(job_id)
            assert not job.terminal, f"over before it could be disturbed: {job.status} {job.error}"
            return job.status == "running" and job.progress["epoch"] >= epoch

        wait_until(there, f"{job_id} at epoch {epoch}", 40)

    def rows(self, job_id: str) -> list[tuple[int, int, int, dict[str, Any]]]:
        with reading(self.sessions) as session:
            page = metrics.page(session, LOCAL, job_id, limit=1000)
        return [(row.seq, row.epoch, row.step, row.values) for row in page.data]

    def weights(self, job_id: str) -> bytes:
        with reading(self.sessions) as session:
            view = checkpoints.choose(session, LOCAL, job_id, "last")
        return b"".join(self.store.open_range(view.sha256))

    def column(self, job_id: str, name: str) -> Any:
        """A column of the job's row that no user sees."""
        with reading(self.sessions) as session:
            return session.scalar(select(getattr(tables.Job, name)).where(tables.Job.id == job_id))

    def logs(self) -> str:
        log = self.folder / "worker.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.end(signal.SIGKILL)
        self.queue.close()
        self.sessions.kw["bind"].dispose()


def make_house(folder: Path, database_url: str, broker: Valkey) -> House:
    """A house on a migrated database."""
    return House(folder, database_url, broker, make_sessions(make_engine(database_url)))
