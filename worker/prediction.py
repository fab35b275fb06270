"""The processes that answer questions about trained models; both are forked by the zygote.

`main` lives long and keeps models in memory: one JSON line in (`{"id", "content", "request"}`), one out
(`{"id", "answer"}` or `{"id", "error"}`). `export_main` writes one file and ends, so that a slow conversion
and the libraries it loads hold up no prediction and stay in no memory.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from core.engine.export import export
from core.engine.trained import TrainedModel, load_trained
from core.errors import Invalid, NetmillError
from worker import posix, runner

_MODELS = 32
_MODEL_BYTES = 1024**3


class Models:
    """The models used last, by their content; the file's size stands for what one takes in memory."""

    def __init__(self, most: int = _MODELS, most_bytes: int = _MODEL_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._loaded: OrderedDict[str, tuple[TrainedModel, int]] = OrderedDict()

    def get(self, sha256: str, content: Path) -> TrainedModel:
        """The model of this content, read from the file unless it is here already."""
        if sha256 not in self._loaded:
            self._loaded[sha256] = (load_trained(content), content.stat().st_size)
        self._loaded.move_to_end(sha256)
        while len(self._loaded) > 1 and self._too_many():
            self._loaded.popitem(last=False)
        return self._loaded[sha256][0]

    def _too_many(self) -> bool:
        return len(self._loaded) > self._most or sum(size for _, size in self._loaded.values()) > self._most_bytes


def main(control: int, events: int) -> int:
    """Answers until the control pipe closes, then ends at once whatever it is doing."""
    posix.set_name("netmill-predict")
    models = Models()

    def predict(question: dict[str, Any]) -> dict[str, Any]:
        request = question["request"]
        model = models.get(question["sha256"], Path(question["content"]))
        return model.predict(
            rows=request.get("rows"), inputs=request.get("inputs"), output=request.get("output") or "prediction"
        )

    return _serve(control, events, predict)


def export_main(control: int, events: int) -> int:
    """Writes one exported file and answers with nothing but that."""
    posix.set_name("netmill-export")

    def convert(question: dict[str, Any]) -> dict[str, Any]:
        export(Path(question["content"]), question["request"]["format"], Path(question["out"]))
        return {}

    return _serve(control, events, convert)


def _serve(control: int, events: int, work: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
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


def _answered(work: Callable[[dict[str, Any]], dict[str, Any]], question: dict[str, Any]) -> dict[str, Any]:
    """`{"answer"}`, or `{"error"}` in the words of `predictions.refuse`; a fault of ours is told without its inside."""
    try:
        return {"answer": work(question)}
    except NetmillError as error:
        faults = error.errors if isinstance(error, Invalid) else ()
        errors = [{"pointer": fault.pointer, "code": fault.code, "detail": fault.detail} for fault in faults]
        told = {"kind": "invalid", "code": error.code, "detail": error.detail, "hint": error.hint, "errors": errors}
        return {"error": told}
    except MemoryError:
        detail = "the answer needs more memory than there is"
        return {"error": {"code": "out_of_memory", "detail": detail, "hint": "send fewer rows"}}
    except Exception as error:  # noqa: BLE001  # one bad question must not take the models of all others away
        traceback.print_exc()
        detail = f"the model could not answer: {type(error).__name__}"
        return {"error": {"code": "internal", "detail": detail, "hint": None}}
