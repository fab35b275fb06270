"""The process that trains: forked for one job or several that train together, fed by a pipe, gone with them.

It reads its order and then control lines (`{"job": …, "stop": "pause" | "cancel" | "shutdown"}`, `{"job": …, "change":
{…}}`), and writes the engine's events as JSON lines, each naming its job. It holds no credential and opens no
connection. When the control pipe closes, its supervisor is gone: it removes its folders and kills its own group.
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
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch

from core.changes import Change
from core.data.builtin import make_builtin
from core.data.kept import keeping_preparations
from core.data.sharing import shared_preparations
from core.engine.cohort import Member, train_together
from core.engine.faults import last_word, log_trace
from core.engine.run import Run
from core.events import LAST, Event, Failed, to_line
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec
from core.states import StopReason
from worker import exits, posix

# A file that a run writes (a checkpoint, its log) is never larger; a full disk hurts all jobs.
_FILE_BYTES = 64 * 1024**3
_OPEN_FILES = 1024


@dataclass(slots=True)
class Asked:
    """What the supervisor has asked of one job since the order; the engine looks before each step."""

    stop: StopReason | None = None
    waiting: deque[Change] = field(default_factory=deque)

    def should_stop(self) -> StopReason | None:
        return self.stop

    def next_change(self) -> Change | None:
        return self.waiting.popleft() if self.waiting else None

    def hear(self, told: dict[str, Any]) -> None:
        """Takes in one control line."""
        if "change" in told:
            self.waiting.append(Change.of(told["change"]))
        else:
            self.stop = StopReason(told["stop"])


def main(control: int, events: int) -> int:
    """Trains the jobs that the first control line describes; 0 once the last event of each is written."""
    posix.set_name("netmill-runner")
    with os.fdopen(control, "rb") as orders, os.fdopen(events, "wb", buffering=0) as out:
        order = json.loads(orders.readline())
        workdirs = [Path(job["workdir"]) for job in order["jobs"]]
        settle(workdirs[0], order["memory_bytes"], order["threads"])
        asked = {job["job"]: Asked() for job in order["jobs"]}
        threading.Thread(target=_watch, args=(orders, asked, workdirs), daemon=True).start()
        code = os.EX_SOFTWARE
        try:
            for job_id, event in _events(order, asked):
                _write(out, to_line(job_id, event).encode() + b"\n")
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


def _watch(orders: BinaryIO, asked: dict[str, Asked], workdirs: list[Path]) -> None:
    for line in orders:
        told = json.loads(line)
        asked[told["job"]].hear(told)
    for workdir in workdirs:
        shutil.rmtree(workdir, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _write(out: Any, line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[out.write(view) :]


def _events(order: dict[str, Any], asked: dict[str, Asked]) -> Iterator[tuple[str, Event]]:
    """(job, event) as the engine yields them; whatever is raised becomes the last event of the jobs that it is of, so
    that a fault is told and not retried.

    But for a disk that is full or broken, which is the worker's fault, and memory that several jobs have used up, which
    is the fault of none: the process ends as in a crash, and the jobs are tried again later or elsewhere, each alone.
    """
    going = [job["job"] for job in order["jobs"]]
    try:
        data = data_path(order["data"], Path(order["jobs"][0]["workdir"]))
        members: dict[str, Member] = {}
        for job in order["jobs"]:
            try:
                members[job["job"]] = _member(order, job, data, asked[job["job"]])
            except Exception as fault:  # noqa: BLE001  # the others' specs are read all the same
                going.remove(job["job"])
                yield job["job"], last_word(fault)
        ids = list(members)
        with _prepared_once(order["prepared"], len(ids)):
            for place, event in train_together(list(members.values())):
                if isinstance(event, LAST):
                    _end_if_crowded(event, order)
                    going.remove(ids[place])
                yield ids[place], event
    except Exception as fault:  # noqa: BLE001  # the boundary of the process: the worker gets words, the log the trace
        word = _word_or_end(fault)
        _end_if_crowded(word, order)
        for job_id in going:
            yield job_id, word


@contextmanager
def _prepared_once(shelf: dict[str, Any], jobs: int) -> Iterator[None]:
    """Large data are prepared once on the machine, all others once for the jobs of this process."""
    # of one job it would only hold memory
    in_process = shared_preparations() if jobs > 1 else nullcontext()
    with keeping_preparations(Path(shelf["folder"]), shelf["max_bytes"]), in_process:
        yield


def _word_or_end(fault: Exception) -> Failed:
    try:
        return last_word(fault)
    except OSError:
        log_trace(fault)
        os._exit(os.EX_IOERR)


def _end_if_crowded(word: Event, order: dict[str, Any]) -> None:
    if isinstance(word, Failed) and word.code == "out_of_memory" and len(order["jobs"]) > 1:
        os._exit(exits.CROWDED)


def _member(order: dict[str, Any], job: dict[str, Any], data: Path, asked: Asked) -> Member:
    resume = job["resume"]
    run = Run(
        spec=JobSpec.model_validate(job["spec"]),
        schema=DatasetSchema.model_validate(job["schema"] or order["schema"]),
        data_path=data,
        workdir=Path(job["workdir"]),
        resume=(Path(resume[0]), Path(resume[1])) if resume else None,
        checkpoint_every_s=order["checkpoint_every_s"],
        threads=order["threads"],
        changes=tuple(Change.of(told) for told in job["changes"]),
    )
    return Member(run, asked.should_stop, asked.next_change)


def data_path(data: dict[str, Any], workdir: Path) -> Path:
    """The data file; a built-in set is made at its first use and kept for the next run."""
    path = Path(data["path"])
    if not path.exists() and data["builtin"]:
        made = make_builtin(data["builtin"], data["parameters"], workdir / "builtin")
        shutil.move(made.data_path, path.with_suffix(f".{os.getpid()}"))
        path.with_suffix(f".{os.getpid()}").replace(path)
    return path
