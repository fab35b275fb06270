"""How a process answers questions one after the other: JSON lines in, JSON lines out, until the worker is gone."""

from __future__ import annotations

import json
import os
import signal
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from core.errors import Invalid, NetmillError
from worker import runner

Work = Callable[[dict[str, Any]], dict[str, Any]]
# torch says so of the CPU in a plain RuntimeError
_NO_MEMORY = "can't allocate memory"


def serve(control: int, events: int, work: Work) -> int:
    """Answers with what `work` returns until the control pipe closes, then ends at once whatever it is doing."""
    with os.fdopen(control, "rb") as questions, os.fdopen(events, "wb") as answers:
        settings = json.loads(questions.readline())
        runner.settle(Path(settings["workdir"]), settings["memory_bytes"], settings["threads"])
        inbox = _Inbox(questions)
        while True:
            question = inbox.next()
            line = {"id": question["id"], **_answered(work, question)}
            answers.write(json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n")
            answers.flush()


class _Inbox:
    """Reads ahead in a thread of its own, so that the end of the worker is noticed in the middle of an answer."""

    def __init__(self, questions: BinaryIO) -> None:
        self._lines: list[bytes] = []
        self._some = threading.Condition()
        threading.Thread(target=self._read, args=(questions,), daemon=True).start()

    def next(self) -> dict[str, Any]:
        """The next question, as soon as there is one."""
        with self._some:
            while not self._lines:
                self._some.wait()
            question: dict[str, Any] = json.loads(self._lines.pop(0))
            return question

    def _read(self, questions: BinaryIO) -> None:
        for line in questions:
            with self._some:
                self._lines.append(line)
                self._some.notify()
        os.killpg(0, signal.SIGKILL)


def _answered(work: Work, question: dict[str, Any]) -> dict[str, Any]:
    """`{"answer"}`, or `{"error"}` in the words of `predictions.refuse`; a fault of ours is told without its inside."""
    try:
        return {"answer": work(question)}
    except NetmillError as error:
        faults = error.errors if isinstance(error, Invalid) else ()
        errors = [{"pointer": fault.pointer, "code": fault.code, "detail": fault.detail} for fault in faults]
        told = {"kind": "invalid", "code": error.code, "detail": error.detail, "hint": error.hint, "errors": errors}
        return {"error": told}
    except MemoryError:
        return {"error": _OUT_OF_MEMORY}
    except Exception as error:  # noqa: BLE001  # one bad question must not take the models of all others away
        if _NO_MEMORY in str(error):
            return {"error": _OUT_OF_MEMORY}
        traceback.print_exc()
        detail = f"the model could not answer: {type(error).__name__}"
        return {"error": {"code": "internal", "detail": detail, "hint": None}}


_OUT_OF_MEMORY = {
    "code": "out_of_memory",
    "detail": "the answer needs more memory than there is",
    "hint": "ask about fewer rows",
}
