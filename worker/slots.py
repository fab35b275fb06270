"""How many jobs run at once, and who looks for the next one."""

from __future__ import annotations

import random
import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core.db.session import transaction
from core.services import protocol
from core.services.protocol import Claim
from worker import posix
from worker.heart import Heart
from worker.supervisor import Supervision, Tools

log = structlog.get_logger(__name__)


class Slots:
    """Claims and supervises, never more at once than there are slots.

    A wake-up takes a slot in the thread that Celery lent; beside it `poll_forever` looks by itself, so
    that lost wake-ups and a broker that is away cost seconds and nothing else.
    """

    def __init__(self, tools: Tools, heart: Heart) -> None:
        self._tools = tools
        self._heart = heart
        self._free = threading.Semaphore(tools.options.slots)
        self._draining = threading.Event()
        self._poller = threading.Thread(target=self._poll_forever, name="poll", daemon=True)
        self._own: list[threading.Thread] = []

    def start(self) -> None:
        """Begins to look for work without being told."""
        self._poller.start()

    def drain(self) -> None:
        """Claims nothing more. May be called from a signal handler."""
        self._draining.set()

    def join(self, timeout_s: float) -> None:
        """Waits for the runs that polling began."""
        self._poller.join(timeout_s)
        for thread in self._own:
            thread.join(timeout_s)

    def wake(self) -> None:
        """Works until nothing is queued. While all slots are taken, or no runner can be made, it waits, which keeps
        further wake-ups in the broker, for workers that are free."""
        while not (self._tools.forks.is_ready(0.5) and self._free.acquire(timeout=0.5)):
            if self._draining.is_set():
                return
        self._work(self._claim())

    def _work(self, run: Supervision | None) -> None:
        """Runs this and whatever is queued after it, and gives the slot back."""
        try:
            while run is not None:
                with self._heart.holding(run):
                    run.run()
                run = self._claim()
        finally:
            self._free.release()

    def _claim(self) -> Supervision | None:
        # a worker that cannot train must leave the jobs to others
        if self._draining.is_set() or not self._tools.forks.is_ready():
            return None
        options = self._tools.options
        sent_at = posix.boot_time()
        try:
            with transaction(self._tools.sessions) as session:
                claim: Claim | None = protocol.claim(
                    session, worker_id=options.name, queue=options.queue, lease_s=options.lease_s
                )
        except SQLAlchemyError as error:
            log.warning("claim_failed", error=str(error).splitlines()[0])
            return None
        except Exception:  # the slot must be given back whatever the claim met
            log.exception("claim_failed")
            return None
        if claim is None:
            return None
        log.info("job_claimed", job_id=claim.job_id, fence=claim.fence, resumes=claim.resume is not None)
        return Supervision(self._tools, claim, beat=sent_at, told=claim.change_seq)

    def _poll_forever(self) -> None:
        poll_s = self._tools.options.poll_s
        while not self._draining.wait(poll_s * random.uniform(0.7, 1.3)):  # noqa: S311  # jitter, not a secret
            self._own = [thread for thread in self._own if thread.is_alive()]
            if not self._free.acquire(blocking=False):
                continue
            run = self._claim()
            if run is None:
                self._free.release()
                continue
            thread = threading.Thread(target=self._work, args=(run,), name="slot", daemon=True)
            self._own.append(thread)
            thread.start()
