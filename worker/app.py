"""A worker put together from its settings: what starts in which order, and how it ends.

Celery brings wake-ups and signals and nothing else: threads pool, early acknowledgement, no results, no
remote control, no events. Lease, runners and the database are ours.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import structlog
from celery import Celery, signals
from celery.exceptions import SecurityWarning
from sqlalchemy.exc import SQLAlchemyError

from core.db.session import make_engine, make_sessions, transaction
from core.queue import Queue, make_celery
from core.services import answering, sweeping, workers
from core.settings import Settings
from core.storage.choose import open_store
from worker import tasks
from worker.analyst import Analyst
from worker.cache import FileCache
from worker.forks import ForkServer
from worker.heart import Heart
from worker.identity import Identity
from worker.options import Options
from worker.questions import Questions
from worker.slots import Slots
from worker.sweeper import Sweeper
from worker.tools import Tools

log = structlog.get_logger(__name__)


def options_from(settings: Settings, identity: Identity) -> Options:
    """The worker's part of the settings as plain values."""
    return Options(
        name=identity.name,
        folder=identity.folder,
        queue=settings.queue,
        slots=settings.slots,
        threads=settings.runner_threads(),
        memory_bytes=settings.runner_memory_bytes,
        cohort_max=settings.cohort_max,
        cohort_bytes=settings.cohort_bytes(),
        lease_s=settings.lease_s,
        heartbeat_s=settings.heartbeat_s,
        control_s=settings.control_s,
        flush_s=settings.flush_s,
        poll_s=settings.poll_s,
        sweep_s=settings.sweep_s,
        republish_s=settings.republish_s,
        drain_s=settings.drain_s,
        stop_s=settings.stop_s,
        stall_s=settings.stall_s,
        checkpoint_every_s=settings.checkpoint_every_s,
        max_crashes=settings.max_crashes,
        backoff_s=settings.backoff_s,
        idempotency_ttl_s=settings.idempotency_ttl_s,
        predict_s=settings.predict_wait_s,
        analysis_s=settings.analysis_s,
        prepared_folder=settings.data_dir.resolve() / "prepared",
        prepared_bytes=settings.prepared_bytes,
        compiled_bytes=settings.compiled_bytes,
    )


class Worker:
    """All parts of one worker process. `run` returns after a shutdown, with nothing left of it."""

    def __init__(self, settings: Settings, options: Options, forks: ForkServer) -> None:
        self._settings = settings
        self._engine = make_engine(settings.database_url, pool_size=options.slots + 5)
        sessions = make_sessions(self._engine)
        store = open_store(sessions, settings.storage)
        self.tools = Tools(
            options=options,
            sessions=sessions,
            store=store,
            queue=Queue(settings.redis_url, options.queue),
            forks=forks,
            cache=FileCache(options.cache, store, options.cache_bytes),
        )
        self.heart = Heart(options, sessions, {"pid": os.getpid(), "threads": options.threads})
        self.slots = Slots(self.tools, self.heart)
        self.sweeper = Sweeper(self.tools)
        self.questions = Questions(self.tools)
        self.analyst = Analyst(self.tools)

    def start(self) -> None:
        """Frees what a dead predecessor of the same name held, then begins to work."""
        options = self.tools.options
        with transaction(self.tools.sessions) as session:
            freed = sweeping.release_worker(session, options.name, policy=self.tools.policy)
            answering.release(session, self.tools.store, options.name, died=True)
        if freed:
            log.warning("predecessor_released", jobs=freed)
        self.heart.start()
        self.slots.start()
        self.sweeper.start()
        self.questions.start()
        self.analyst.start()
        for job_id in freed:
            self.tools.queue.publish_wake(job_id)

    def drain(self) -> None:
        """Asks for the end: no new claim, every runner stops with a checkpoint. Safe in a signal handler."""
        self.slots.drain()
        self.heart.drain()

    def finish(self) -> None:
        """Waits until every run is handed back and ends all threads and processes."""
        self.drain()
        self.sweeper.stop()
        self.slots.join(self.tools.options.drain_s + 5)
        self.questions.stop()
        self.analyst.stop()
        self.heart.stop()
        try:
            with transaction(self.tools.sessions) as session:
                sweeping.release_questions(session, self.tools.options.name)
                answering.release(session, self.tools.store, self.tools.options.name, died=False)
                workers.left(session, self.tools.options.name)
        except SQLAlchemyError:
            log.exception("leave_not_recorded")
        self.tools.forks.stop()
        self.tools.queue.close()
        self._engine.dispose()


def make_app(worker: Worker, redis_url: str) -> Celery:
    """The Celery application of this worker."""
    options = worker.tools.options
    app = make_celery(redis_url, options.queue, socket_timeout_s=5.0)
    app.conf.update(
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # the drain above is what ends runs; this is for a thread that hangs all the same
        worker_soft_shutdown_timeout=options.drain_s + 5,
    )
    tasks.register(app, worker.slots)
    return app


def serve(worker: Worker, redis_url: str) -> int:
    """Consumes wake-ups until SIGTERM or Ctrl-C, then drains. Returns the exit code."""

    def on_shutdown(**_: Any) -> None:
        worker.drain()

    def keep_logging(**_: Any) -> None:
        """Being connected is enough: Celery then leaves logging as it is."""

    signals.worker_shutting_down.connect(on_shutdown, weak=False)
    signals.setup_logging.connect(keep_logging, weak=False)
    # it speaks of pickled messages from strangers to a worker run by root; ours takes JSON alone
    warnings.simplefilter("ignore", SecurityWarning)
    options = worker.tools.options
    worker.start()
    try:
        consumer = make_app(worker, redis_url).Worker(
            hostname=f"netmill@{options.name}",
            pool_cls=tasks.PromptPool,
            concurrency=options.slots,
            queues=[options.queue],
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )
        log.info("worker_started", slots=options.slots, threads=options.threads)
        consumer.start()
        return int(consumer.exitcode or 0)
    finally:
        worker.finish()
        log.info("worker_stopped")
