"""How many jobs run at once, and who looks for the next one."""

from __future__ import annotations

import random
import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core.db.session import transaction
from core.services import protocol
from core.services.protocol import Claim, Room
from worker import posix
from worker.crew import Crew
from worker.heart import Heart
from worker.held import HeldJob
from worker.tools import Tools

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
        self._working = 0
        self._claiming = threading.Lock()
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

    def _work(self, run: Crew | None) -> None:
        """Runs this and whatever is queued after it, and gives the slot back."""
        try:
            while run is not None:
                try:
                    with self._heart.holding(run.jobs):
                        run.run()
                finally:
                    with self._claiming:
                        self._working -= 1
                run = self._claim()
        finally:
            self._free.release()

    def _claim(self) -> Crew | None:
        # a worker that cannot train must leave the jobs to others
        if self._draining.is_set() or not self._tools.forks.is_ready():
            return None
        sent_at = posix.boot_time()
        try:
            # one slot at a time, so that each knows how many others share with it what waits
            with self._claiming:
                claims = self._claim_together()
                self._working += bool(claims)
        except SQLAlchemyError as error:
            log.warning("claim_failed", error=str(error).splitlines()[0])
            return None
        except Exception:  # the slot must be given back whatever the claim met
            log.exception("claim_failed")
            return None
        if not claims:
            return None
        log.info("jobs_claimed", jobs={claim.job_id: claim.fence for claim in claims})
        held = [HeldJob(claim, self._tools.options, beat=sent_at, told=claim.change_seq) for claim in claims]
        return Crew(self._tools, held)

    def _claim_together(self) -> list[Claim]:
        options = self._tools.options
        room = Room(options.cohort_max, options.cohort_bytes, options.slots - self._working)
        with transaction(self._tools.sessions) as session:
            return protocol.claim_together(
                session, worker_id=options.name, queue=options.queue, lease_s=options.lease_s, room=room
            )

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
