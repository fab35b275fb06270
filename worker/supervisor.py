"""One claim from the moment it is won to the moment it is given up.

The only place where the engine's events meet the database.
The thread that runs this owns the runner and every write of the job. Other threads may only ask it
to stop (`request_stop`) or tell it that the job is not ours any more (`lose`).
"""

from __future__ import annotations

import os
import select
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from core.changes import Change
from core.db.session import Sessions, is_passing, retrying, transaction
from core.errors import LostLease, NotFound
from core.events import Checkpoint, Event, Failed, Finished, Metrics, Progress, Stopped, from_line
from core.queue import Queue
from core.services import protocol
from core.services.protocol import Claim, CrashPolicy, ResumePoint
from core.states import Status, StopReason
from core.storage.store import STAGE_FROM_BYTES, BlobStore, CorruptBlob
from worker import exits, posix
from worker.batches import Batch
from worker.cache import FileCache
from worker.forks import Child, ForkFailed, ForkServer
from worker.options import Options

log = structlog.get_logger(__name__)

_TERMINAL = (Finished, Stopped, Failed)


@dataclass(frozen=True, slots=True)
class Tools:
    """What every thread of one worker shares."""

    options: Options
    sessions: Sessions
    store: BlobStore
    queue: Queue
    forks: ForkServer
    cache: FileCache

    @property
    def policy(self) -> CrashPolicy:
        return CrashPolicy(max_crashes=self.options.max_crashes, backoff_s=self.options.backoff_s)


@dataclass(slots=True)
class Supervision:
    """Runs one claimed job to its end, or to the loss of it. `beat` is when the last good heartbeat was sent.

    `over` says that the end is committed: from then on the lease is nobody's, and that is no loss.
    """

    tools: Tools
    claim: Claim
    beat: float
    stop_reason: StopReason | None = None
    lost: bool = False
    over: bool = False
    told: int = 0
    """Number of the last change that is on its way to the runner."""
    _changes: list[Change] = field(default_factory=list)
    _child: Child | None = None
    _kill_at: float = float("inf")
    _hung: bool = False
    _batches: int = 0
    _position: tuple[int, int] = (0, 0)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def job_id(self) -> str:
        return self.claim.job_id

    def request_stop(self, reason: StopReason) -> None:
        """Asks the runner to stop at its next step and kills one that does not in time; the first reason stands."""
        options = self.tools.options
        with self._lock:
            if self.stop_reason is not None:
                return
            self.stop_reason = reason
            grace_s = options.drain_s if reason is StopReason.SHUTDOWN else options.stop_s
            self._kill_at = posix.boot_time() + grace_s
            if self._child:
                self._child.send({"stop": reason.value})

    def tell(self, changes: Sequence[Change], seq: int) -> None:
        """Passes on the changes that were asked for since the claim, `seq` the number of the last."""
        with self._lock:
            # more may have been asked for between the two looks at the database
            self.told = max([seq, *(change.number for change in changes)])
            self._changes += changes
            if self._child:
                for change in changes:
                    self._child.send({"change": change.to_json()})

    def lose(self, why: str) -> None:
        """Kills the runner now: the job is another worker's, or will be before we know."""
        with self._lock:
            self.lost = True
            child = self._child
        log.warning("job_lost", job_id=self.job_id, fence=self.claim.fence, why=why)
        if child:
            child.kill()

    def run(self) -> None:
        """Trains the job and records it; returns when nothing of it is left on this machine."""
        workdir = self.tools.options.runs / f"{self.job_id}.{self.claim.fence}"
        oom_kills = exits.oom_kills()
        self.tools.queue.notify(self.job_id)
        try:
            workdir.mkdir(parents=True)
            with self.tools.cache.holding_data(self.claim.data, self.claim.spec) as data:
                resume = self._materialise_resume(workdir)
                with self._runner(self._order(workdir, data, resume)) as child:
                    self._follow(child, oom_kills)
        except LostLease:
            log.warning("job_lost", job_id=self.job_id, fence=self.claim.fence, why="a write was refused")
        except ForkFailed as error:
            log.warning("no_runner", job_id=self.job_id, error=str(error))
            self._hand_back()
        except Exception as error:  # whatever it is, the job must not hang until its lease runs out
            log.exception("run_failed", job_id=self.job_id)
            # the first line alone: the database's errors go on with the statement
            told = str(error).partition("\n")[0]
            self._crashed(f"the worker could not run the job: {type(error).__name__}: {told}")
        finally:
            shutil.rmtree(workdir, ignore_errors=True)

    def _materialise_resume(self, workdir: Path) -> tuple[Path, Path] | None:
        """The files of the checkpoint to go on from; one that is damaged is given up for the one before it."""
        point: ResumePoint | None = self.claim.resume
        content, state = workdir / "resume-content", workdir / "resume-state"
        while point is not None:
            try:
                self.tools.store.read_to(point.content_sha256, content)
                self.tools.store.read_to(point.state_sha256, state)
            except (CorruptBlob, NotFound):
                log.exception("checkpoint_damaged", job_id=self.job_id, checkpoint=point.checkpoint_id)
                bad = point.checkpoint_id
                with transaction(self.tools.sessions) as session:
                    point = protocol.reject_checkpoint(session, self.tools.store, self.claim, bad)
            else:
                self._position = (point.epoch, point.step)
                return content, state
        return None

    def _order(self, workdir: Path, data: dict[str, Any], resume: tuple[Path, Path] | None) -> dict[str, Any]:
        options = self.tools.options
        return {
            "job": self.job_id,
            "spec": self.claim.spec,
            "schema": self.claim.schema,
            "data": data,
            "workdir": str(workdir),
            "changes": [change.to_json() for change in self.claim.changes],
            "resume": [str(path) for path in resume] if resume else None,
            "checkpoint_every_s": options.checkpoint_every_s,
            "threads": options.threads,
            "memory_bytes": options.memory_bytes,
        }

    @contextmanager
    def _runner(self, order: dict[str, Any]) -> Iterator[Child]:
        child = self.tools.forks.fork("run")
        try:
            child.send(order)
            with self._lock:
                self._child = child
                for change in self._changes:
                    child.send({"change": change.to_json()})
                if self.stop_reason is not None:
                    child.send({"stop": self.stop_reason.value})
            yield child
            # it has said its last word: a moment to go by itself, so that its memory is back before the next claim
            child.wait_exit(2.0)
        finally:
            with self._lock:
                self._child = None
            child.close()

    def _follow(self, child: Child, oom_kills: int) -> None:
        """Reads the runner's lines and records them, until its last word or its end."""
        batch, rest, shown = Batch(), b"", False
        flush_at, heard_at = float("inf"), posix.boot_time()
        while not self.lost:
            ready, _, _ = select.select([child.events], [], [], self._patience(flush_at))
            data = os.read(child.events, 1 << 20) if ready else None
            if data:
                heard_at = posix.boot_time()
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    batch.add(from_line(line)[1])
                flush_at = min(flush_at, posix.boot_time() + self.tools.options.flush_s)
            over = data == b"" or isinstance(batch.last, _TERMINAL)
            early = not shown and batch.has(Metrics)
            if batch.events and (over or early or batch.is_full or posix.boot_time() >= flush_at):
                shown = shown or early
                status = self._record(batch)
                flush_at = float("inf")
                if status != Status.RUNNING:
                    return
            if over:
                self._ended_early(child, oom_kills)
                return
            self._hung = self._hung or posix.boot_time() - heard_at >= self.tools.options.stall_s
            if self._hung or posix.boot_time() >= self._kill_at:
                child.kill()

    def _patience(self, flush_at: float) -> float:
        until = min(flush_at, self._kill_at)
        return min(1.0, max(0.0, until - posix.boot_time()))

    def _record(self, batch: Batch) -> Status:
        """One transaction for all that the runner has told since the last; returns the job's status after it."""
        events, files = batch.take()
        for event in events:
            if isinstance(event, Progress | Metrics | Checkpoint):
                self._position = (event.epoch, event.step)
        status = self._persist(events)
        for path in files:
            path.unlink(missing_ok=True)
        self.tools.queue.notify(self.job_id)
        return status

    def _stage(self, event: Checkpoint) -> None:
        for path, sha256 in ((event.content_path, event.content_sha256), (event.state_path, event.state_sha256)):
            if Path(path).stat().st_size >= STAGE_FROM_BYTES:
                self.tools.store.stage(Path(path), sha256)

    def _persist(self, events: list[Event]) -> Status:
        self._batches += 1
        number, tools = self._batches, self.tools
        while True:
            try:
                for event in events:
                    if isinstance(event, Checkpoint):
                        self._stage(event)
                status = retrying(
                    tools.sessions,
                    lambda session: protocol.record(session, tools.store, self.claim, events, batch=number),
                ).status
            except DBAPIError as error:
                # the database is away: wait for it for as long as the lease is ours
                if not is_passing(error):
                    raise
                log.warning("database_away", job_id=self.job_id)
                time.sleep(0.5)
            else:
                self.over = status != Status.RUNNING
                return status
            if self.lost:
                raise LostLease("the lease ran out while the database was away")

    def _ended_early(self, child: Child, oom_kills: int) -> None:
        """The runner is gone and did not say how its run ended."""
        # its pipe closes a moment before it ends: a kill in between would hide why it did
        if not child.wait_exit(1.0):
            child.kill()
            child.wait_exit(5.0)
        if self.lost:
            return
        if self.stop_reason is not None:
            # it was to stop anyhow and had to be killed: its last checkpoint stands
            self._persist([Stopped(self.stop_reason.value, *self._position)])
            self.tools.queue.notify(self.job_id)
            return
        silent = f"the runner hung: it was killed after {self.tools.options.stall_s:g} s without a word"
        self._crashed(silent if self._hung else exits.explain(child.status, oom_kills))

    def _hand_back(self) -> None:
        """Gives the job up without blame; when that fails its lease runs out and a sweeper finds it."""
        try:
            with transaction(self.tools.sessions) as session:
                protocol.hand_back(session, self.claim)
            self.over = True
        except (LostLease, DBAPIError):
            log.exception("hand_back_not_recorded", job_id=self.job_id)
            return
        self.tools.queue.notify(self.job_id)

    def _crashed(self, reason: str) -> None:
        if self.lost:
            return
        try:
            with transaction(self.tools.sessions) as session:
                status = protocol.crashed(session, self.claim, reason, policy=self.tools.policy)
            self.over = True
        except (LostLease, DBAPIError):
            # then its lease runs out and a sweeper finds it
            log.exception("crash_not_recorded", job_id=self.job_id)
            return
        log.warning("runner_crashed", job_id=self.job_id, reason=reason, status=status)
        self.tools.queue.notify(self.job_id)
