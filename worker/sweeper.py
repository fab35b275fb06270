"""Finds what other processes left lying: dead leases, lost wake-ups, old answers.

Runs in every worker; no leader is needed.
"""

from __future__ import annotations

import random
import threading
import time

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core.db.session import transaction
from core.engine.code_cache import make_room
from core.services import accounts, sweeping, usage
from worker.tools import Tools

log = structlog.get_logger(__name__)

_PURGE_S = 300.0


class Sweeper:
    """Sweeps every few seconds, with jitter so that workers do not do it all at once."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._stopping = threading.Event()
        self._purge_at = time.monotonic() + _PURGE_S * random.random()  # noqa: S311  # jitter, not a secret
        self._recounted = False
        self._thread = threading.Thread(target=self._sweep_forever, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def sweep(self) -> None:
        """One round."""
        tools = self._tools
        with transaction(tools.sessions) as session:
            swept = sweeping.sweep(session, policy=tools.policy, republish_s=tools.options.republish_s)
        with transaction(tools.sessions) as session:
            accounts.add_up(session)
        if swept.requeued or swept.failed:
            log.warning("leases_expired", requeued=swept.requeued, failed=swept.failed)
        for job_id in swept.wake:
            tools.queue.publish_wake(job_id)
        for job_id in {*swept.requeued, *swept.failed}:
            tools.queue.notify(job_id)
        if time.monotonic() >= self._purge_at:
            self._purge_at = time.monotonic() + _PURGE_S
            self._purge()

    def _purge(self) -> None:
        tools = self._tools
        with transaction(tools.sessions) as session:
            sweeping.purge(session, idempotency_ttl_s=tools.options.idempotency_ttl_s)
        if not self._recounted:
            # once: after a deployment the last worker to start makes good what the older version did not count
            self._recounted = True
            with transaction(tools.sessions) as session:
                accounts.recount(session)
        with transaction(tools.sessions) as session:
            usage.count_bytes(session)
        tools.store.collect()
        make_room(tools.options.compiled, tools.options.compiled_bytes)

    def _sweep_forever(self) -> None:
        while not self._stopping.wait(self._tools.options.sweep_s * random.uniform(0.7, 1.3)):  # noqa: S311  # jitter
            try:
                self.sweep()
            except SQLAlchemyError as error:
                log.warning("sweep_failed", error=str(error).splitlines()[0])
            except Exception:  # this thread must outlive whatever one round met
                log.exception("sweep_failed")
