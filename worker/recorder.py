"""What becomes of held jobs in the database: their events, and how they are given up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError

from core.db.session import is_passing, retrying, transaction
from core.errors import LostLease
from core.events import Checkpoint, Told
from core.services import protocol
from core.services.protocol import Recorded, Report
from core.states import Status
from core.storage.store import STAGE_FROM_BYTES
from worker.held import HeldJob
from worker.tools import Tools

log = structlog.get_logger(__name__)


class Recorder:
    """Writes for the jobs of one runner. A job whose fence another claim has raised is lost, and the others are not."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def record(self, jobs: Sequence[HeldJob]) -> list[tuple[HeldJob, Exception]]:
        """One transaction for all that the jobs have told since the last; those that have ended are `over` after it.

        Those that cannot be recorded come back with the reason, and no other fails with them.
        """
        told = [job.batch.take() for job in jobs]
        failed = self.persist(jobs, [events for events, _ in told])
        for _, files in told:
            for path in files:
                path.unlink(missing_ok=True)
        return failed

    def persist(self, jobs: Sequence[HeldJob], events: Sequence[Sequence[Told]]) -> list[tuple[HeldJob, Exception]]:
        """As `record`, for these events of each job."""
        told = [(job, job.report(each)) for job, each in zip(jobs, events, strict=True)]
        try:
            self._write(told)
        except Exception as error:  # noqa: BLE001  # it may be the fault of one: each is tried by itself
            return [(jobs[0], error)] if len(jobs) == 1 else [each for one in told for each in self._alone(one)]
        return []

    def _alone(self, told: tuple[HeldJob, Report]) -> list[tuple[HeldJob, Exception]]:
        try:
            self._write([told])
        except Exception as error:  # noqa: BLE001  # it is told by who called
            return [(told[0], error)]
        return []

    def _write(self, told: Sequence[tuple[HeldJob, Report]]) -> None:
        """Waits for a database that is away for as long as a lease is ours."""
        jobs, reports = [job for job, _ in told], [report for _, report in told]
        while not all(job.lost for job in jobs):
            try:
                self._stage(reports)
                found = retrying(
                    self._tools.sessions,
                    lambda session: protocol.record_many(session, self._tools.store, reports),
                )
            except DBAPIError as error:
                if not is_passing(error):
                    raise
                log.warning("database_away", jobs=[job.job_id for job in jobs])
                time.sleep(0.5)
            else:
                self._settle(jobs, found)
                return

    def _settle(self, jobs: Sequence[HeldJob], found: Sequence[Recorded | None]) -> None:
        for job, recorded in zip(jobs, found, strict=True):
            if recorded is None:
                job.lose("a write was refused")
            else:
                job.over = recorded.status != Status.RUNNING
        self._notify(jobs)

    def _stage(self, reports: Sequence[Report]) -> None:
        """Large files go to the store before the transaction, which would be held up by them."""
        for report in reports:
            for event in report.events:
                if isinstance(event, Checkpoint):
                    for path, sha256 in (
                        (event.content_path, event.content_sha256),
                        (event.state_path, event.state_sha256),
                    ):
                        if Path(path).stat().st_size >= STAGE_FROM_BYTES:
                            self._tools.store.stage(Path(path), sha256)

    def hand_back(self, job: HeldJob) -> None:
        """Gives the job up without blame; when that fails its lease runs out and a sweeper finds it."""
        if not job.is_held:
            return
        try:
            with transaction(self._tools.sessions) as session:
                protocol.hand_back(session, job.claim)
            job.over = True
        except (LostLease, DBAPIError):
            log.exception("hand_back_not_recorded", job_id=job.job_id)
            return
        self._notify([job])

    def crashed(self, job: HeldJob, reason: str) -> None:
        """Says that the job's run died; it is tried again later, unless it has died too often."""
        if not job.is_held:
            return
        try:
            with transaction(self._tools.sessions) as session:
                status = protocol.crashed(session, job.claim, reason, policy=self._tools.policy)
            job.over = True
        except (LostLease, DBAPIError):
            # then its lease runs out and a sweeper finds it
            log.exception("crash_not_recorded", job_id=job.job_id)
            return
        log.warning("runner_crashed", job_id=job.job_id, reason=reason, status=status)
        self._notify([job])

    def _notify(self, jobs: Sequence[HeldJob]) -> None:
        self._tools.queue.notify_all([job.job_id for job in jobs])
