"""One runner and the jobs that train in it, from their claims to the end of the last.

The only place where the engine's events meet the database. The thread that runs this owns the runner and every write of
its jobs.
"""

from __future__ import annotations

import os
import select
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from core.db.session import transaction
from core.errors import LostLease, NotFound
from core.events import LAST, Stopped, from_line
from core.services import protocol
from core.services.protocol import ResumePoint
from core.storage.store import CorruptBlob
from worker import exits, posix
from worker.forks import Child, ForkFailed
from worker.held import HeldJob
from worker.recorder import Recorder
from worker.tools import Tools

log = structlog.get_logger(__name__)

_GULP_S = 0.005
# lines at such short distances, from which on more are to be expected: a short job says fewer in all
_TALKATIVE = 16
# what a runner may tell while the last is being recorded, before it has to wait
_PIPE_BYTES = 1 << 20


class Supervisor:
    """Trains jobs together in one runner. One that ends, is stopped or is lost leaves it; the others go on.

    `runners` is how many there are in its slot, which share the slot's memory.
    """

    def __init__(self, tools: Tools, jobs: Sequence[HeldJob], runners: int = 1) -> None:
        self._tools = tools
        self._runners = runners
        self._jobs = {job.job_id: job for job in jobs}
        self._recorder = Recorder(tools)
        self._child: Child | None = None
        self._hung = False
        self._disobeyed = False
        self._pause_until = 0.0
        for job in jobs:
            job.on_loss = self._on_loss

    @property
    def jobs(self) -> list[HeldJob]:
        return list(self._jobs.values())

    @property
    def _held(self) -> list[HeldJob]:
        return [job for job in self._jobs.values() if job.is_held]

    def run(self) -> None:
        """Trains the jobs and records them; returns when nothing of them is left on this machine."""
        oom_kills = exits.oom_kills()
        self._tools.queue.notify_all(list(self._jobs))
        first = self.jobs[0].claim
        try:
            with self._tools.cache.holding_data(first.data, first.spec) as data:
                orders = [order for job in self.jobs if (order := self._prepare(job))]
                if orders:
                    with self._runner({**self._terms(data), "jobs": orders}) as child:
                        self._follow(child, oom_kills)
        except ForkFailed as error:
            log.warning("no_runner", jobs=list(self._jobs), error=str(error))
            for job in self._held:
                self._recorder.hand_back(job)
        except Exception as error:  # noqa: BLE001  # whatever it is, the jobs must not hang until their leases run out
            for job in self._held:
                self._failed(job, error)
        finally:
            for job in self.jobs:
                shutil.rmtree(self._workdir(job), ignore_errors=True)

    def _failed(self, job: HeldJob, error: Exception) -> None:
        """Gives one job up that could not be run here."""
        if isinstance(error, LostLease):
            job.lose("a write was refused")
            return
        log.error("run_failed", job_id=job.job_id, exc_info=error)
        job.dismiss()
        # the first line alone: the database's errors go on with the statement
        told = str(error).partition("\n")[0]
        self._recorder.crashed(job, f"the worker could not run the job: {type(error).__name__}: {told}")

    def _on_loss(self) -> None:
        """The last that was held is lost: nothing of the runner is ours. Called by whoever noticed, from any thread."""
        child = self._child
        if child and not self._held:
            child.kill()

    def _workdir(self, job: HeldJob) -> Path:
        return self._tools.options.runs / f"{job.job_id}.{job.claim.fence}"

    def _prepare(self, job: HeldJob) -> dict[str, Any] | None:
        """What the runner is to do for one job; None when that cannot be done, which is then recorded."""
        try:
            workdir = self._workdir(job)
            workdir.mkdir(parents=True)
            resume = self._materialise_resume(job, workdir)
        except Exception as error:  # noqa: BLE001  # the others are not to blame
            self._failed(job, error)
            return None
        return {
            "job": job.job_id,
            "spec": job.claim.spec,
            # all have the first one's data, and but for an upgrade between them its schema
            "schema": job.claim.schema if job.claim.schema != self.jobs[0].claim.schema else None,
            "workdir": str(workdir),
            "changes": [change.to_json() for change in job.claim.changes],
            "resume": [str(path) for path in resume] if resume else None,
        }

    def _terms(self, data: dict[str, Any]) -> dict[str, Any]:
        """What holds for all jobs of the runner."""
        options = self._tools.options
        return {
            "data": data,
            "schema": self.jobs[0].claim.schema,
            "checkpoint_every_s": options.checkpoint_every_s,
            "threads": options.threads,
            "memory_bytes": options.memory_bytes // self._runners,
            "prepared": {"folder": str(options.prepared_folder), "max_bytes": options.prepared_bytes},
        }

    def _materialise_resume(self, job: HeldJob, workdir: Path) -> tuple[Path, Path] | None:
        """The files of the checkpoint to go on from; one that is damaged is given up for the one before it."""
        tools = self._tools
        point: ResumePoint | None = job.claim.resume
        content, state = workdir / "resume-content", workdir / "resume-state"
        while point is not None:
            try:
                tools.store.read_to(point.content_sha256, content)
                tools.store.read_to(point.state_sha256, state)
            except (CorruptBlob, NotFound):
                log.exception("checkpoint_damaged", job_id=job.job_id, checkpoint=point.checkpoint_id)
                bad = point.checkpoint_id
                with transaction(tools.sessions) as session:
                    point = protocol.reject_checkpoint(session, tools.store, job.claim, bad)
            else:
                job.position = (point.epoch, point.step)
                return content, state
        return None

    @contextmanager
    def _runner(self, order: dict[str, Any]) -> Iterator[Child]:
        child = self._tools.forks.fork("run")
        try:
            posix.widen_pipe(child.events, _PIPE_BYTES)
            child.send(order)
            self._child = child
            for job in self.jobs:
                job.connect(child.send)
            # all may have been lost before there was a runner to kill
            self._on_loss()
            yield child
            # it has said its last word: a moment to go by itself, so that its memory is back before the next claim
            child.wait_exit(2.0)
        finally:
            self._child = None
            for job in self.jobs:
                job.disconnect()
            child.close()

    def _follow(self, child: Child, oom_kills: int) -> None:
        """Reads the runner's lines and records them, until the last job is over or the runner is."""
        rest, flush_at, heard_at, in_a_row = b"", float("inf"), posix.boot_time(), 0
        while held := self._held:
            if len(held) > 1 or in_a_row >= _TALKATIVE:
                # much is heard in gulps: each look costs as much as reading a dozen lines, and whoever writes a line
                # that is waited for has to wake the one who waits
                time.sleep(_GULP_S)
            ready, _, _ = select.select([child.events], [], [], self._patience(flush_at))
            data = os.read(child.events, 1 << 20) if ready else None
            if data:
                before, heard_at = heard_at, posix.boot_time()
                *lines, rest = (rest + data).split(b"\n")
                in_a_row = in_a_row + len(lines) if len(lines) > 1 or heard_at - before < _GULP_S else 0
                for line in lines:
                    job_id, event = from_line(line)
                    self._jobs[job_id].batch.add(event)
                flush_at = min(flush_at, posix.boot_time() + self._tools.options.flush_s)
            is_gone = data == b""
            if is_gone or posix.boot_time() >= min(flush_at, self._urgent_at()):
                self._record()
                flush_at = float("inf")
            if is_gone:
                self._ended_early(child, oom_kills)
                return
            self._hung = self._hung or posix.boot_time() - heard_at >= self._tools.options.stall_s
            self._disobeyed = self._disobeyed or posix.boot_time() >= self._kill_at
            if self._hung or self._disobeyed:
                child.kill()

    @property
    def _kill_at(self) -> float:
        return min((job.kill_at for job in self._held), default=float("inf"))

    def _urgent_at(self) -> float:
        """When what cannot wait is recorded: at once, but with company no more than half of the time is for recording,
        so that what the others tell meanwhile goes into the same transaction.
        """
        if not any(job.is_urgent for job in self._held):
            return float("inf")
        is_all = all(isinstance(job.batch.last, LAST) for job in self._held)
        return 0.0 if is_all else self._pause_until

    def _patience(self, flush_at: float) -> float:
        until = min(flush_at, self._kill_at, self._urgent_at())
        return min(1.0, max(0.0, until - posix.boot_time()))

    def _record(self) -> None:
        """Records what all jobs have told; one of which nothing can be recorded fails by itself."""
        began = posix.boot_time()
        telling = [job for job in self._held if job.batch.events]
        for job, error in self._recorder.record(telling):
            self._failed(job, error)
        self._pause_until = 2 * posix.boot_time() - began

    def _ended_early(self, child: Child, oom_kills: int) -> None:
        """The runner is gone and did not say how all its runs ended."""
        # its pipe closes a moment before it ends: a kill in between would hide why it did
        if not child.wait_exit(1.0):
            child.kill()
            child.wait_exit(5.0)
        silent = f"the runner hung: it was killed after {self._tools.options.stall_s:g} s without a word"
        reason = silent if self._hung else exits.explain(child.status, oom_kills)
        others = len(self._jobs) - 1
        for job in self._held:
            if job.stop_reason is not None:
                # it was to stop anyhow: its last checkpoint stands
                self._recorder.persist([job], [[Stopped(job.stop_reason.value, *job.position)]])
            elif self._disobeyed and not self._hung:
                # killed for one that did not stop in time: the others have done nothing
                self._recorder.hand_back(job)
            else:
                self._recorder.crashed(job, f"{reason}, with {others} other jobs in it" if others else reason)
