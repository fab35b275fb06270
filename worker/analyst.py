"""Analyses and experiments: takes the rows that the API wrote, one at a time, and has a process compute them.

A thread and a process of their own: neither training nor a prediction waits for a landscape that takes minutes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core.db.session import retrying, transaction
from core.errors import NotFound
from core.services import answering
from core.services.answering import Taken
from core.storage.store import STAGE_FROM_BYTES, CorruptBlob
from worker.forks import ForkFailed
from worker.questions import IDLE_S, Answerer, Died, NoAnswer, Unwanted
from worker.tools import Tools

log = structlog.get_logger(__name__)


class Analyst:
    """Computes analyses while the worker lives."""

    def __init__(self, tools: Tools) -> None:
        options = tools.options
        self._tools = tools
        self._stopping = threading.Event()
        self._scratch = options.folder / "analyses"
        settings = {
            "workdir": str(self._scratch),
            "memory_bytes": options.memory_bytes,
            "threads": options.threads,
        }
        self._answerer = Answerer(tools.forks, "analyse", settings)
        self._renew_at = 0.0
        self._thread = threading.Thread(target=self._analyse_forever, name="analyse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Takes no more and drops what is under way: `answering.release` gives it to others."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._answerer.close()

    def _analyse_forever(self) -> None:
        look_at = 0.0
        while not self._stopping.is_set():
            hint = self._tools.queue.next_analysis(1.0)
            if hint is None and time.monotonic() < look_at:
                continue
            look_at = time.monotonic() + self._tools.options.poll_s
            while not self._stopping.is_set() and self._answer_next():
                continue
            self._answerer.close_idle(IDLE_S)

    def _answer_next(self) -> bool:
        """Answers the next one; False when there is none."""
        tools, options = self._tools, self._tools.options
        try:
            with transaction(tools.sessions) as session:
                taken = answering.take(session, tools.store, worker_id=options.name, lease_s=options.lease_s)
        except SQLAlchemyError as error:
            log.warning("take_failed", error=str(error).splitlines()[0])
            self._stopping.wait(0.5)
            return False
        if taken is None:
            return False
        self._renew_at = time.monotonic() + options.lease_s / 3
        out = self._scratch / taken.id
        try:
            self._answer(taken, out)
        except Exception:  # then its lease runs out and it is taken again
            log.exception("analysis_not_recorded", analysis=taken.id)
        finally:
            out.unlink(missing_ok=True)
        tools.queue.notify(taken.id)
        return True

    def _answer(self, taken: Taken, out: Path) -> None:
        """Computes it and records what came of it."""
        try:
            with self._question(taken, out) as question:
                reply = self._answerer.ask_once(
                    question, self._tools.options.analysis_s, lambda: self._is_wanted(taken)
                )
        except Unwanted:
            return
        except Died as error:
            reason = str(error)
            log.warning("analysis_crashed", analysis=taken.id)
            self._record(lambda session: answering.crashed(session, self._tools.store, taken, reason))
            return
        except ForkFailed:
            log.warning("no_process", analysis=taken.id)
            self._record(lambda session: answering.release(session, self._tools.store, taken.worker_id, died=False))
            self._stopping.wait(1.0)
            return
        except NoAnswer:
            reply = {"error": self._too_slow()}
        except (CorruptBlob, NotFound) as error:
            reply = {"error": {"code": "content_gone", "detail": f"a file that it needs cannot be read: {error}"}}
        except Exception:  # the thread must outlive any one analysis
            log.exception("analysis_failed", analysis=taken.id)
            reply = {"error": {"code": "internal", "detail": "it could not be computed"}}
        self._write(taken, reply, out)

    def _write(self, taken: Taken, reply: dict[str, Any], out: Path) -> None:
        store = self._tools.store
        if "error" in reply:
            told = {"hint": None, "errors": [], **reply["error"]}
            told.pop("kind", None)
            self._record(lambda session: answering.refuse(session, store, taken, told))
            return
        if out.stat().st_size >= STAGE_FROM_BYTES:
            store.stage(out)
        self._record(lambda session: answering.answer(session, store, taken, out))

    def _record(self, work: Any) -> None:
        retrying(self._tools.sessions, work)

    def _too_slow(self) -> dict[str, Any]:
        limit_s = self._tools.options.analysis_s
        return {
            "code": "time_limit",
            "detail": f"it took longer than the {limit_s:g} s that one may take",
            "hint": "ask for fewer rows, points or steps",
        }

    def _is_wanted(self, taken: Taken) -> bool:
        """Renews the lease when it is due; False once the row is deleted or another worker's, or at the end."""
        if self._stopping.is_set():
            return False
        if time.monotonic() < self._renew_at:
            return True
        lease_s = self._tools.options.lease_s
        try:
            with transaction(self._tools.sessions) as session:
                held = answering.renew(session, taken, lease_s)
        except SQLAlchemyError:
            # the database is away: whether it is still ours shows when it is back
            return True
        self._renew_at = time.monotonic() + lease_s / 3
        return held

    @contextmanager
    def _question(self, taken: Taken, out: Path) -> Iterator[dict[str, Any]]:
        """The order to the process, its files in the cache for as long as the block runs."""
        cache = self._tools.cache
        with ExitStack() as held:
            content = held.enter_context(cache.holding(taken.content_sha256)) if taken.content_sha256 else None
            path = [held.enter_context(cache.holding(sha256)) for sha256 in taken.trajectory]
            data = None
            if taken.data is not None and taken.spec is not None:
                data = held.enter_context(cache.holding_data(taken.data, taken.spec))
            yield {
                "id": taken.id,
                "type": taken.type,
                "request": taken.request,
                "job": taken.job_id,
                "sha256": taken.content_sha256,
                "content": content and str(content),
                "trajectory": [str(one) for one in path],
                "spec": taken.spec,
                "schema": taken.schema,
                "data": data,
                "threads": self._tools.options.threads,
                "out": str(out),
            }
