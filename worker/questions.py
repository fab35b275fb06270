"""Predictions and exports: takes the rows that the API wrote, has a process answer them, writes the answers.

Apart from the training slots: two threads of their own, so that neither training nor an export holds up a prediction.
"""

from __future__ import annotations

import json
import os
import queue
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core.db.session import retrying, transaction
from core.errors import NotFound
from core.services import predictions
from core.services.predictions import Taken
from core.storage.store import STAGE_FROM_BYTES, CorruptBlob
from worker.forks import Child, ForkFailed, ForkServer, Role
from worker.tools import Tools

log = structlog.get_logger(__name__)

_TAKE = 16
# A prediction process takes some 200 MB; whoever asked nothing for so long can wait a blink for a new one.
IDLE_S = 300.0


class NoAnswer(RuntimeError):
    """The process died over the question, or took too long and was killed."""


class Died(NoAnswer):
    """The process is gone."""


class Unwanted(NoAnswer):
    """Nobody wants the answer any more: the process was killed in the middle."""


Wanted = Callable[[], bool]
# how often one who waits is asked whether the answer is still wanted
_ASK_S = 1.0


class Answerer:
    """One answering process, started at the first question and again whenever the last one is gone."""

    def __init__(self, forks: ForkServer, role: Role, settings: dict[str, Any]) -> None:
        self._forks = forks
        self._role = role
        self._settings = settings
        self._child: Child | None = None
        self._rest = b""
        self._used_at = 0.0

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def ask(self, question: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """The process's line for this question; raises NoAnswer and leaves no process behind when there is none.

        One that is found dead may have been dead before it was asked, so a new one is asked once more.
        """
        end = time.monotonic() + timeout_s
        is_new = self._start()
        try:
            return self._ask(question, end)
        except Died:
            if is_new:
                raise
        self._start()
        return self._ask(question, end)

    def ask_once(self, question: dict[str, Any], timeout_s: float, wanted: Wanted) -> dict[str, Any]:
        """As `ask`, but never twice; raises Unwanted as soon as `wanted`, asked every second, says no."""
        self._start()
        return self._ask(question, time.monotonic() + timeout_s, wanted)

    def _start(self) -> bool:
        """Makes sure that there is a process; True when it is a new one."""
        if self._child is not None and not self._child.wait_exit(0):
            return False
        self.close()
        self._child = self._forks.fork(self._role)
        self._child.send(self._settings)
        return True

    def _ask(self, question: dict[str, Any], end: float, wanted: Wanted = lambda: True) -> dict[str, Any]:
        assert self._child is not None
        self._used_at = time.monotonic()
        self._child.send(question)
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            ready = left > 0 and select.select([self._child.events], [], [], min(left, _ASK_S))[0]
            if left > 0 and not ready:
                if wanted():
                    continue
                self.close()
                raise Unwanted("nobody wants it any more")
            data = os.read(self._child.events, 1 << 20) if ready else b""
            if not data:
                self.close()
                raise Died("the process that computes it died") if ready else NoAnswer("it took too long")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        assert answer.pop("id") == question["id"]
        return answer

    def close_idle(self, idle_s: float) -> None:
        """Ends a process that was asked nothing for so long, which gives its memory back."""
        if self._child and time.monotonic() - self._used_at >= idle_s:
            self.close()

    def close(self) -> None:
        """Ends the process."""
        self._rest = b""
        if self._child:
            self._child.close()
            self._child = None


class Questions:
    """Takes questions while the worker lives."""

    def __init__(self, tools: Tools) -> None:
        options = tools.options
        self._tools = tools
        self._stopping = threading.Event()
        self._exports: queue.SimpleQueue[Taken | None] = queue.SimpleQueue()
        self._scratch = options.folder / "answers"
        settings = {
            "workdir": str(self._scratch),
            "memory_bytes": options.memory_bytes,
            "threads": options.threads,
        }
        self.predictor = Answerer(tools.forks, "predict", settings)
        self._exporter = Answerer(tools.forks, "export", settings)
        self._threads = [
            threading.Thread(target=self._predict_forever, name="predict", daemon=True),
            threading.Thread(target=self._export_forever, name="export", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Takes no more, finishes what is under way, ends the processes."""
        self._stopping.set()
        self._exports.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(self._tools.options.predict_s + 2)
        self.predictor.close()
        self._exporter.close()

    def _predict_forever(self) -> None:
        look_at = 0.0
        while not self._stopping.is_set():
            hint = self._tools.queue.next_predict(1.0)
            if hint is None and time.monotonic() < look_at:
                continue
            look_at = time.monotonic() + self._tools.options.poll_s
            while not self._stopping.is_set() and self._answer_some():
                continue
            self.predictor.close_idle(IDLE_S)

    def _answer_some(self) -> bool:
        """Answers what is waiting; False when nothing was."""
        try:
            with transaction(self._tools.sessions) as session:
                taken = predictions.take(session, worker_id=self._tools.options.name, limit=_TAKE)
        except SQLAlchemyError as error:
            log.warning("take_failed", error=str(error).splitlines()[0])
            self._stopping.wait(0.5)
            return False
        for question in taken:
            if question.kind == "export":
                self._exports.put(question)
            else:
                self._answer(self.predictor, question, self._tools.options.predict_s)
        return bool(taken)

    def _export_forever(self) -> None:
        while (question := self._exports.get()) is not None:
            self._answer(self._exporter, question, self._tools.options.export_s)
            if self._exports.empty():
                # what a conversion imports is large and seldom wanted
                self._exporter.close()

    def _answer(self, answerer: Answerer, question: Taken, timeout_s: float) -> None:
        out = self._scratch / question.id
        try:
            with self._tools.cache.holding(question.content_sha256) as content:
                line = {
                    "id": question.id,
                    "sha256": question.content_sha256,
                    "content": str(content),
                    "request": question.request,
                    "out": str(out),
                }
                reply = answerer.ask(line, timeout_s)
        except (NoAnswer, ForkFailed) as error:
            reply = {"error": {"code": "no_answer", "detail": f"no answer could be computed: {error}"}}
        except (CorruptBlob, NotFound) as error:
            reply = {"error": {"code": "checkpoint_damaged", "detail": f"the checkpoint cannot be read: {error}"}}
        except Exception:  # the thread must outlive any one question
            log.exception("question_failed", question=question.id)
            reply = {"error": {"code": "internal", "detail": "no answer could be computed"}}
        try:
            self._write(question, reply, out if question.kind == "export" else None)
        except Exception:  # then its lease runs out and it is taken again
            log.exception("answer_not_written", question=question.id)
        finally:
            out.unlink(missing_ok=True)

    def _write(self, question: Taken, reply: dict[str, Any], path: Path | None) -> None:
        tools, me = self._tools, self._tools.options.name
        if "error" in reply:
            error = reply["error"]
            retrying(tools.sessions, lambda session: predictions.refuse(session, question.id, me, **error))
        else:
            answer = None if path else reply["answer"]
            if path and path.stat().st_size >= STAGE_FROM_BYTES:
                tools.store.stage(path)
            retrying(
                tools.sessions,
                lambda session: predictions.answer(session, tools.store, question.id, me, answer=answer, path=path),
            )
        tools.queue.notify(question.id)
