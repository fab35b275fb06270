"""Keeps the claims of one worker alive, brings cancel, pause and changes, and lets go in time when it cannot.

Two threads. One talks to the database: a heartbeat for all claims every few seconds, a look at their
control columns twice a second. The other talks to nobody, so nothing can hold it up: it kills a runner
whose last good heartbeat is two thirds of a lease ago, before anybody else may claim the job.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core.db.session import Sessions, reading, transaction
from core.services import protocol, workers
from core.states import StopReason
from worker import posix
from worker.held import HeldJob
from worker.options import Options

log = structlog.get_logger(__name__)


class Heart:
    """Beats from `start` to `stop`. `drain` asks every job, those that come later too, to stop and be handed back."""

    def __init__(self, options: Options, sessions: Sessions, info: dict[str, Any]) -> None:
        self._options = options
        self._sessions = sessions
        self._info = info
        self._jobs: dict[tuple[str, int], HeldJob] = {}
        self._lock = threading.Lock()
        self._kick = threading.Event()
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self._beat_at = 0.0
        self._threads = [
            threading.Thread(target=self._beat_forever, name="heartbeat", daemon=True),
            threading.Thread(target=self._fence_forever, name="fence", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends both threads; no job may be held any more."""
        self._stopping.set()
        self._kick.set()
        for thread in self._threads:
            thread.join(5)

    def drain(self) -> None:
        """May be called from a signal handler: it takes no lock."""
        self._draining.set()
        self._kick.set()

    @contextmanager
    def holding(self, jobs: Sequence[HeldJob]) -> Iterator[None]:
        """Keeps the leases of these jobs for as long as the block lasts."""
        with self._lock:
            self._jobs |= {job.key: job for job in jobs}
        if self._draining.is_set():
            for job in jobs:
                job.request_stop(StopReason.SHUTDOWN)
        try:
            yield
        finally:
            with self._lock:
                for job in jobs:
                    del self._jobs[job.key]

    def _held(self) -> list[HeldJob]:
        with self._lock:
            return [job for job in self._jobs.values() if job.is_held]

    def _beat_forever(self) -> None:
        while not self._stopping.is_set():
            try:
                self._options.heartbeat_file.touch()
                self._look()
            except SQLAlchemyError as error:
                log.warning("heartbeat_failed", error=str(error).splitlines()[0])
            except Exception:  # without this thread the worker would lose every job it takes
                log.exception("heartbeat_failed")
            self._kick.wait(self._options.control_s)
            self._kick.clear()

    def _look(self) -> None:
        jobs = self._held()
        if self._draining.is_set():
            for job in jobs:
                job.request_stop(StopReason.SHUTDOWN)
        sent_at = posix.boot_time()
        if sent_at - self._beat_at >= self._options.heartbeat_s:
            controls = self._beat(jobs, sent_at)
        elif jobs:
            with reading(self._sessions) as session:
                controls = protocol.controls(session, [job.claim for job in jobs])
        else:
            return
        for job in jobs:
            control = controls.get(job.job_id)
            if control is not None and control.change_seq > job.told:
                with reading(self._sessions) as session:
                    job.tell(protocol.changes(session, job.claim, job.told), control.change_seq)
            if control is not None and (control.cancel or control.pause):
                job.request_stop(StopReason.CANCEL if control.cancel else StopReason.PAUSE)

    def _beat(self, jobs: list[HeldJob], sent_at: float) -> dict[str, protocol.Control]:
        options = self._options
        with transaction(self._sessions) as session:
            workers.seen(session, options.name, queue=options.queue, slots=options.slots, info=self._info)
            controls = protocol.heartbeat(session, [job.claim for job in jobs], options.lease_s) if jobs else {}
        self._beat_at = sent_at
        still_held = {job.key for job in self._held()}
        for job in jobs:
            if job.job_id in controls:
                job.beat = sent_at
            elif job.key in still_held:
                job.lose("the database says that it is not ours")
        return controls

    def _fence_forever(self) -> None:
        limit_s = self._options.lease_s * 2 / 3
        while not self._stopping.wait(min(0.25, limit_s / 10)):
            for job in self._held():
                if posix.boot_time() - job.beat > limit_s:
                    job.lose(f"no heartbeat got through for {limit_s:.1f} s")
