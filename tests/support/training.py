"""What a runner would report, without one: events with real files, for the tests of what is made of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from core.db.session import Sessions, reading, transaction
from core.db.tables import Job
from core.events import Checkpoint, Event, Finished, Metrics, Progress, Started
from core.ids import uuid7_hex
from core.services import events, jobs, metrics, protocol, sweeping
from core.services.job_view import JobView
from core.services.principal import LOCAL, Principal
from core.services.protocol import Claim, CrashPolicy, Recorded, Room
from core.services.sweeping import Swept
from core.spec.limits import Limits
from core.storage.store import BlobStore

QUEUE = "wake.cpu"
ROOM = Room(most=64, memory_bytes=1 << 30)
PATIENT = CrashPolicy(max_crashes=3, backoff_s=100.0)
# crashes are forgiven, and there is no waiting
AT_ONCE = CrashPolicy(max_crashes=3, backoff_s=0.0)


def body(**changes: Any) -> dict[str, Any]:
    """A small job spec."""
    network = {"layers": [{"type": "linear", "units": 4}, {"type": "relu"}]}
    return {"name": "small", "data": {"dataset": "iris"}, "network": network, **changes}


@dataclass
class House:
    """A database with users and workers."""

    sessions: Sessions
    store: BlobStore
    folder: Path
    limits: Limits = field(default_factory=Limits)

    def submit(self, principal: Principal = LOCAL, **changes: Any) -> JobView:
        with transaction(self.sessions) as session:
            return jobs.submit(session, principal, body(**changes), self.limits)

    def job(self, job_id: str, principal: Principal = LOCAL) -> JobView:
        with reading(self.sessions) as session:
            return jobs.get(session, principal, job_id)

    def row(self, job_id: str) -> Job:
        with reading(self.sessions) as session:
            return session.scalars(select(Job).where(Job.id == job_id)).one()

    def do(self, action: Any, job_id: str, *more: Any, principal: Principal = LOCAL) -> JobView:
        """One of the actions of `jobs`, such as cancel."""
        with transaction(self.sessions) as session:
            view: JobView = action(session, principal, job_id, *more)
            return view

    def claim(self, worker: str = "worker-1", lease_s: float = 30.0, queue: str = QUEUE) -> Claim | None:
        with transaction(self.sessions) as session:
            return protocol.claim(session, worker_id=worker, queue=queue, lease_s=lease_s)

    def take(self, worker: str = "worker-1", lease_s: float = 30.0) -> Claim:
        claim = self.claim(worker, lease_s)
        assert claim is not None
        return claim

    def board(self, worker: str = "worker-1", lease_s: float = 30.0, room: Room = ROOM) -> list[Claim]:
        """The oldest job and those that train together with it."""
        with transaction(self.sessions) as session:
            return protocol.claim_together(session, worker_id=worker, queue=QUEUE, lease_s=lease_s, room=room)

    def record(self, claim: Claim, *reported: Event, batch: int = 1) -> Recorded:
        with transaction(self.sessions) as session:
            return protocol.record(session, self.store, claim, reported, batch=batch)

    def crash(self, claim: Claim, reason: str = "killed by signal 9", policy: CrashPolicy = AT_ONCE) -> str:
        with transaction(self.sessions) as session:
            return protocol.crashed(session, claim, reason, policy=policy)

    def sweep(self, republish_s: float = 30.0) -> Swept:
        with transaction(self.sessions) as session:
            return sweeping.sweep(session, policy=AT_ONCE, republish_s=republish_s)

    def expire(self, job_id: str) -> None:
        """The job's lease ran out a minute ago."""
        with transaction(self.sessions) as session:
            job = session.get_one(Job, job_id)
            assert job.lease_until is not None
            job.lease_until -= timedelta(seconds=90)

    def steps(self, job_id: str) -> list[tuple[int, int]]:
        """(seq, step) of the history."""
        with reading(self.sessions) as session:
            return [(found.seq, found.step) for found in metrics.page(session, LOCAL, job_id).data]

    def told(self, job_id: str, kind: str) -> list[dict[str, Any]]:
        """The data of all events of that kind; numbers without holes and times that do not go back are asserted."""
        with reading(self.sessions) as session:
            page = events.page(session, LOCAL, job_id)
        assert [event.seq for event in page.data] == list(range(1, len(page.data) + 1))
        assert sorted(event.time for event in page.data) == [event.time for event in page.data]
        return [event.data for event in page.data if event.type == kind]

    def checkpoint(self, step: int, content: bytes | None = None, **fields: Any) -> Checkpoint:
        """An event with its two files."""
        paths = []
        for kind in ("content", "state"):
            # a name of its own: threads of one test make checkpoints of the same step
            path = self.folder / f"{kind}-{step}-{uuid7_hex()}"
            path.write_bytes(content if content is not None and kind == "content" else f"{kind} {step}".encode())
            paths.append(path)
        values = {"epoch": step, "is_best": False, "monitor": "validation.loss", "monitor_value": 1.0 / (step + 1)}
        shas = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
        files = {"content_path": str(paths[0]), "content_sha256": shas[0]}
        files |= {"state_path": str(paths[1]), "state_sha256": shas[1]}
        return Checkpoint(**{**values, "step": step, **files, **fields})


def started(*, exact: bool = True, note: str | None = None) -> Started:
    return Started(4, 80, exact, note, {"torch": "2.13.0", "threads": 1})


def row(step: int, **values: float | None) -> Metrics:
    """A row of the history; a None among the values is one that is not finite."""
    given = {name.replace("_", "."): value for name, value in (values or {"train_loss": 1.0 / (step + 1)}).items()}
    return Metrics(step, step, given, tuple(name for name, value in given.items() if value is None), 1.7e9 + step)


def progress(step: int) -> Progress:
    return Progress(step, 20, step, 80, 1.5, 1000.0)


FINISHED = Finished(best_epoch=2, best_step=2, metrics={"test.accuracy": 0.97})
