"""The process that trains: forked for one job, fed by a pipe, gone with it.

It reads its order and then control lines (`{"stop": "pause" | "cancel" | "shutdown"}`, `{"change": {…}}`), and writes
the engine's events as JSON lines. It holds no credential and opens no connection. When the control pipe closes, its
supervisor is gone: it removes its folder and kills its own group.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch

from core.changes import Change
from core.data.builtin import make_builtin
from core.engine.faults import internal, last_word, log_trace
from core.engine.run import Run, train
from core.events import Event, Failed, Finished, Stopped, to_line
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec
from core.states import StopReason
from worker import posix

# A file that a run writes (a checkpoint, its log) is never larger; a full disk hurts all jobs.
_FILE_BYTES = 64 * 1024**3
_OPEN_FILES = 1024


@dataclass(slots=True)
class Asked:
    """Changes that the supervisor has passed on since the order; taken by the engine before each step."""

    waiting: deque[Change] = field(default_factory=deque)

    def __call__(self) -> Change | None:
        return self.waiting.popleft() if self.waiting else None


@dataclass(slots=True)
class Stop:
    """What the supervisor has asked for; read by the engine before each step."""

    reason: StopReason | None = None

    def __call__(self) -> StopReason | None:
        return self.reason


def main(control: int, events: int) -> int:
    """Trains the one job that the first control line describes; 0 once its last event is written."""
    posix.set_name("netmill-runner")
    with os.fdopen(control, "rb") as orders, os.fdopen(events, "wb", buffering=0) as out:
        order = json.loads(orders.readline())
        workdir = Path(order["workdir"])
        settle(workdir, order["memory_bytes"], order["threads"])
        stop, asked = Stop(), Asked()
        threading.Thread(target=_watch, args=(orders, stop, asked, workdir), daemon=True).start()
        code = os.EX_SOFTWARE
        try:
            for event in _events(order, workdir, stop, asked):
                _write(out, to_line(order["job"], event).encode() + b"\n")
            code = os.EX_OK
        except Exception as fault:  # noqa: BLE001  # it must be told before the pipes close
            log_trace(fault)
        # past the with block the watchdog would see its pipe closed under it
        os._exit(code)


def settle(workdir: Path, memory_bytes: int, threads: int) -> None:
    """Limits, own temporary folder, threads, and first in line for the kernel when memory runs out."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_FSIZE, _FILE_BYTES)
    # a file too large is then an OSError with a message, not a death by signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # CUDA reserves address space by the hundreds of GB, so there the limit cannot be used
    if memory_bytes and not torch.cuda.is_available():
        # on top of the half a GB that torch's libraries occupy, in a process that has not computed anything
        _limit(resource.RLIMIT_AS, posix.address_space() + memory_bytes)
    with suppress(OSError):  # there is no such file but on Linux
        Path("/proc/self/oom_score_adj").write_text("500")
    workdir.mkdir(parents=True, exist_ok=True)
    os.chdir(workdir)
    os.environ["TMPDIR"] = tempfile.tempdir = str(workdir)
    torch.set_num_threads(threads)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _watch(orders: BinaryIO, stop: Stop, asked: Asked, workdir: Path) -> None:
    for line in orders:
        told = json.loads(line)
        if "change" in told:
            asked.waiting.append(Change.of(told["change"]))
        else:
            stop.reason = StopReason(told["stop"])
    shutil.rmtree(workdir, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _write(out: Any, line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[out.write(view) :]


def _events(order: dict[str, Any], workdir: Path, stop: Stop, asked: Asked) -> Iterator[Event]:
    """The engine's events; whatever it raises becomes the last of them, so that a fault is told and not retried.

    But for a disk that is full or broken: that is the worker's fault, so the process ends as in a crash, and the job is
    tried again later or elsewhere.
    """
    try:
        for event in train(_run(order, workdir), stop, asked):
            yield event
            if isinstance(event, Finished | Stopped | Failed):
                return
        yield internal("the run ended without a last event")
    except Exception as fault:  # noqa: BLE001  # the boundary of the process: the worker gets words, the log the trace
        try:
            yield last_word(fault)
        except OSError:
            log_trace(fault)
            os._exit(os.EX_IOERR)


def _run(order: dict[str, Any], workdir: Path) -> Run:
    resume = order["resume"]
    return Run(
        spec=JobSpec.model_validate(order["spec"]),
        schema=DatasetSchema.model_validate(order["schema"]),
        data_path=data_path(order["data"], workdir),
        workdir=workdir,
        resume=(Path(resume[0]), Path(resume[1])) if resume else None,
        checkpoint_every_s=order["checkpoint_every_s"],
        threads=order["threads"],
        changes=tuple(Change.of(told) for told in order["changes"]),
    )


def data_path(data: dict[str, Any], workdir: Path) -> Path:
    """The data file; a built-in set is made at its first use and kept for the next run."""
    path = Path(data["path"])
    if not path.exists() and data["builtin"]:
        made = make_builtin(data["builtin"], data["parameters"], workdir / "builtin")
        shutil.move(made.data_path, path.with_suffix(f".{os.getpid()}"))
        path.with_suffix(f".{os.getpid()}").replace(path)
    return path
