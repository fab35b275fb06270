"""Keeps the claims of one worker alive, brings cancel, pause and changes, and lets go in time when it cannot.

Two threads. One talks to the database: a heartbeat for all claims every few seconds, a look at their
control columns twice a second. The other talks to nobody, so nothing can hold it up: it kills a runner
whose last good heartbeat is two thirds of a lease ago, before anybody else may claim the job.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core.db.session import Sessions, reading, transaction
from core.services import protocol, workers
from core.states import StopReason
from worker import posix
from worker.options import Options
from worker.supervisor import Supervision

log = structlog.get_logger(__name__)


class Heart:
    """Beats from `start` to `stop`. `drain` asks every run, those that come later too, to stop and be handed back."""

    def __init__(self, options: Options, sessions: Sessions, info: dict[str, Any]) -> None:
        self._options = options
        self._sessions = sessions
        self._info = info
        # by fence too: a job that we lost may be claimed again while its first run here is still being cleared away
        self._runs: dict[tuple[str, int], Supervision] = {}
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
        """Ends both threads; no run may be held any more."""
        self._stopping.set()
        self._kick.set()
        for thread in self._threads:
            thread.join(5)

    def drain(self) -> None:
        """May be called from a signal handler: it takes no lock."""
        self._draining.set()
        self._kick.set()

    @contextmanager
    def holding(self, run: Supervision) -> Iterator[None]:
        """Keeps this run's lease for as long as the block lasts."""
        key = (run.job_id, run.claim.fence)
        with self._lock:
            self._runs[key] = run
        if self._draining.is_set():
            run.request_stop(StopReason.SHUTDOWN)
        try:
            yield
        finally:
            with self._lock:
                del self._runs[key]

    def _held(self) -> list[Supervision]:
        with self._lock:
            return [run for run in self._runs.values() if not (run.lost or run.over)]

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
        runs = self._held()
        if self._draining.is_set():
            for run in runs:
                run.request_stop(StopReason.SHUTDOWN)
        sent_at = posix.boot_time()
        if sent_at - self._beat_at >= self._options.heartbeat_s:
            controls = self._beat(runs, sent_at)
        elif runs:
            with reading(self._sessions) as session:
                controls = protocol.controls(session, [run.claim for run in runs])
        else:
            return
        for run in runs:
            control = controls.get(run.job_id)
            if control is not None and control.change_seq > run.told:
                with reading(self._sessions) as session:
                    run.tell(protocol.changes(session, run.claim, run.told), control.change_seq)
            if control is not None and (control.cancel or control.pause):
                run.request_stop(StopReason.CANCEL if control.cancel else StopReason.PAUSE)

    def _beat(self, runs: list[Supervision], sent_at: float) -> dict[str, protocol.Control]:
        options = self._options
        with transaction(self._sessions) as session:
            workers.seen(session, options.name, queue=options.queue, slots=options.slots, info=self._info)
            controls = protocol.heartbeat(session, [run.claim for run in runs], options.lease_s) if runs else {}
        self._beat_at = sent_at
        still_held = {run.job_id for run in self._held()}
        for run in runs:
            if run.job_id in controls:
                run.beat = sent_at
            elif run.job_id in still_held:
                run.lose("the database says that it is not ours")
        return controls

    def _fence_forever(self) -> None:
        limit_s = self._options.lease_s * 2 / 3
        while not self._stopping.wait(min(0.25, limit_s / 10)):
            for run in self._held():
                if posix.boot_time() - run.beat > limit_s:
                    run.lose(f"no heartbeat got through for {limit_s:.1f} s")
