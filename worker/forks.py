"""The worker's side of the fork server: starts it, keeps it alive, asks it for children."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import structlog

from worker import posix

log = structlog.get_logger(__name__)

Role = Literal["run", "spare", "predict", "export", "analyse"]
# Of the worker's environment a child gets these alone: no address and no key of a database or broker.
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "PYTHONHASHSEED",
    "CXX",
)
_PASSED_PREFIXES = ("CUDA_", "NVIDIA_", "CUBLAS_")
_ROOT = Path(__file__).parents[1]


# what takes a spare has the processor to itself for so long
_BEHIND_S = 0.05


class ForkFailed(RuntimeError):
    """The fork server is not there or died before it made the child."""


def child_environment(threads: int, scratch: Path) -> dict[str, str]:
    """The environment of the fork server and of all its children."""
    passed = {
        name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith(_PASSED_PREFIXES)
    }
    count = str(threads)
    return {
        **passed,
        "TMPDIR": str(scratch),
        # machine code of steps, for all runs to come: a few MB for each shape of a network and its batches
        "TORCHINDUCTOR_CACHE_DIR": str(scratch.with_name("compiled")),
        "OMP_NUM_THREADS": count,
        # a thread that waits by spinning takes the core that the one it waits for needs: 10 times slower when busy
        "OMP_WAIT_POLICY": "PASSIVE",
        "MKL_NUM_THREADS": count,
        "POLARS_MAX_THREADS": count,
        # these two would start threads on import, and what forks must have one
        "OPENBLAS_NUM_THREADS": "1",
        "_RJEM_MALLOC_CONF": "background_thread:false",
    }


@dataclass(slots=True)
class Child:
    """A forked process and its three pipes. `status` is the raw wait status once it has ended and told so."""

    pid: int
    events: int
    _control: int
    _exits: int
    status: int | None = None
    gone: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _buffer: bytes = b""

    def send(self, message: dict[str, Any]) -> None:
        """One JSON line; a child that is gone does not hear it."""
        data = memoryview(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        with self._lock:
            try:
                while data and self._control >= 0:
                    data = data[os.write(self._control, data) :]
            except BrokenPipeError:
                return

    def kill(self) -> None:
        """SIGKILL for the child and all it started."""
        if not self.gone:
            posix.kill_group(self.pid)

    def wait_exit(self, timeout_s: float) -> bool:
        """True when the child has ended within the time, by its own word or because the fork server is gone too."""
        end = time.monotonic() + timeout_s
        while not self.gone:
            ready, _, _ = select.select([self._exits], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return False
            data = os.read(self._exits, 256)
            self._buffer += data
            if self._buffer.endswith(b"\n") and b"exit " in self._buffer:
                self.status = int(self._buffer.rsplit(b"exit ", 1)[1])
            self.gone = self.status is not None or not data
        return True

    def close(self) -> None:
        """Kills what is left, waits for its end and gives the pipes back."""
        self.kill()
        self.wait_exit(5.0)
        with self._lock:
            for pipe in (self.events, self._control, self._exits):
                if pipe >= 0:
                    os.close(pipe)
            self.events = self._control = self._exits = -1


class Spares:
    """Runners made ahead, so that a job finds one that has the slow part of a process's life behind it.

    One that is taken is replaced a moment later, when the job that took it is under way. They are processes like all
    others of the fork server: without a credential, and gone with it.
    """

    def __init__(self, make: Callable[[], Child], count: int) -> None:
        self._make = make
        self._count = count
        self._waiting: deque[Child] = deque()
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="spares", daemon=True)

    def start(self) -> None:
        """Begins to make them."""
        if self._count:
            self._wanted.set()
            self._thread.start()

    def take(self) -> Child | None:
        """One that lives, None when none is ready."""
        while self._waiting:
            try:
                child = self._waiting.popleft()
            except IndexError:
                break
            self._wanted.set()
            # it tells nothing before its order: all that can be read is that its pipe has closed, which is so as it
            # dies, a moment before the fork server says it
            if not select.select([child.events], [], [], 0)[0]:
                return child
            child.close()
        return None

    def stop(self) -> None:
        """Ends them all; none is made any more."""
        self._stopping.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(5)
        while self._waiting:
            self._waiting.popleft().close()

    def _keep(self) -> None:
        while self._wanted.wait() and not self._stopping.is_set():
            self._wanted.clear()
            self._stopping.wait(_BEHIND_S)
            while len(self._waiting) < self._count and not self._stopping.is_set():
                try:
                    self._waiting.append(self._make())
                except ForkFailed:
                    self._stopping.wait(1.0)


class ForkServer:
    """Keeps one zygote alive, with a pause between starts that grows while it fails, and `spares` runners at hand."""

    def __init__(self, threads: int, scratch: Path, *, spares: int = 0) -> None:
        self._environment = child_environment(threads, scratch)
        self._scratch = scratch
        self._ready = threading.Condition()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="fork-server", daemon=True)
        self._spares = Spares(lambda: self.fork("spare"), spares)

    @property
    def pid(self) -> int | None:
        """The zygote's process id, None while there is none."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Begins to start the zygote and returns at once; `fork` waits until it is ready."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        self._spares.start()

    def stop(self) -> None:
        """Ends the zygote and every child of it."""
        self._stopping.set()
        with self._ready:
            self._ready.notify_all()
            if self._socket:
                self._socket.shutdown(socket.SHUT_RDWR)
            elif self._process:
                self._process.kill()  # it is still importing and serves nobody
        if self._process:
            try:
                self._process.wait(3)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._thread.is_alive():
            self._thread.join(5)
        self._spares.stop()

    def is_ready(self, timeout_s: float = 0.0) -> bool:
        """True when children can be made, now or within the time."""
        with self._ready:
            return self._ready.wait_for(lambda: self._socket is not None, timeout_s)

    def fork(self, role: Role, timeout_s: float = 60.0) -> Child:
        """A child in `role`, a runner made ahead if there is one; ForkFailed when no server makes one in time."""
        if role == "run" and (spare := self._spares.take()):
            return spare
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            server = self._wait_ready(end)
            child = self._ask(server, role, end)
            if child:
                return child
        raise ForkFailed("the fork server does not answer")

    def _wait_ready(self, end: float) -> socket.socket:
        with self._ready:
            while self._socket is None:
                left = end - time.monotonic()
                if self._stopping.is_set() or left <= 0 or not self._ready.wait(left):
                    raise ForkFailed("the fork server is not ready")
            return self._socket

    def _ask(self, server: socket.socket, role: Role, end: float) -> Child | None:
        control_read, control_write = os.pipe()
        events_read, events_write = os.pipe()
        exit_read, exit_write = os.pipe()
        theirs = [control_read, events_write, exit_write]
        try:
            socket.send_fds(server, [json.dumps({"role": role}).encode()], theirs)
            sent = True
        except OSError:
            sent = False
        for pipe in theirs:
            os.close(pipe)
        if sent and select.select([exit_read], [], [], max(0.0, end - time.monotonic()))[0]:
            line = os.read(exit_read, 256)
            if line.startswith(b"pid "):
                pid = int(line.split(b"\n", 1)[0].removeprefix(b"pid "))
                return Child(pid, events_read, control_write, exit_read, _buffer=line)
        for pipe in (control_write, events_read, exit_read):
            os.close(pipe)
        time.sleep(0.05)
        return None

    def _keep(self) -> None:
        # One thread for all starts: the zygote's parent-death signal is bound to the thread that made it.
        pause_s = 0.1
        while not self._stopping.is_set():
            began = time.monotonic()
            self._run_one()
            if not self._stopping.is_set():
                log.warning("zygote_died", code=self._process.returncode if self._process else None)
            pause_s = 0.1 if time.monotonic() - began > 30 else min(pause_s * 2, 10.0)
            self._stopping.wait(pause_s)

    def _run_one(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603  # our own module
                    [sys.executable, "-m", "worker.zygote", str(theirs.fileno()), str(os.getpid())],
                    pass_fds=[theirs.fileno()],
                    env=self._environment,
                    cwd=_ROOT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            if _hears_ready(ours):
                with self._ready:
                    self._socket = ours
                    self._ready.notify_all()
            self._process.wait()
            with self._ready:
                self._socket = None


def _hears_ready(server: socket.socket) -> bool:
    try:
        return server.recv(64) == b"ready"
    except OSError:
        return False
