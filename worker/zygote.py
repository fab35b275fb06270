"""The fork server: a process that has imported all that is slow, and forks a ready child in 15 ms.

It runs no tensor operation, because a child forked after OpenMP or CUDA was used hangs or fails; it
opens no connection and knows no secret. Started by `worker.forks.ForkServer` as
`python -m worker.zygote FD PARENT`, it reads requests from that socket: one datagram `{"role": …}`
with three files (control to read, events to write, exit to write). On the exit pipe it answers `pid N` and,
when the child has ended, `exit STATUS`; if it dies itself the pipe closes without that line.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

# `np.unique` imports it at its first call, in each child anew
import numpy.ma  # noqa: F401
import torch

from core.data.kept import fingerprint
from worker import analysis, posix, prediction, rehearsal, runner

# What polars starts on import waits for spilled files to delete and holds no lock while there are none.
_SLEEPERS = frozenset({"polars-ooc-clea"})

Role = Callable[[int, int], int]
ROLES: dict[str, Role] = {
    "run": runner.main,
    "predict": prediction.main,
    "export": prediction.export_main,
    "analyse": analysis.main,
}


def computing_threads() -> list[str]:
    """Names of the threads that a fork would lose in the middle of something; one, the main thread, is right."""
    return [name for name in posix.thread_names() if name not in _SLEEPERS]


class Zygote:
    """The loop of the fork server; `serve` returns when the other end of the socket is gone."""

    def __init__(self, requests: socket.socket, roles: Mapping[str, Role]) -> None:
        self._requests = requests
        self._roles = roles
        self._children: dict[int, int] = {}
        self._ended_read, self._ended_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._ended_write, warn_on_full_buffer=False)
        selector = selectors.DefaultSelector()
        selector.register(self._requests, selectors.EVENT_READ)
        selector.register(self._ended_read, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if self._ended_read in ready:
                os.read(self._ended_read, 4096)
                self._reap()
            if self._requests in ready and not self._answer():
                break
        for pid in self._children:
            posix.kill_group(pid)

    def _answer(self) -> bool:
        message, files, _, _ = socket.recv_fds(self._requests, 4096, 3)
        if not message:
            return False
        control, events, exit_write = files
        role = self._roles[json.loads(message)["role"]]
        pid = os.fork()
        if pid == 0:
            _become(role, control, events)
        os.close(control)
        os.close(events)
        self._children[pid] = exit_write
        _tell(exit_write, f"pid {pid}\n")
        return True

    def _reap(self) -> None:
        while self._children:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            # what it has started and not waited for, such as a compiler, ends with it; its number is still its own
            posix.kill_group(ended.si_pid)
            pid, status = os.waitpid(ended.si_pid, 0)
            exit_write = self._children.pop(pid, None)
            if exit_write is not None:
                _tell(exit_write, f"exit {status}\n")
                os.close(exit_write)


def _tell(pipe: int, line: str) -> None:
    try:
        os.write(pipe, line.encode())
    except BrokenPipeError:
        return  # nobody waits for this child any more


def _become(role: Role, control: int, events: int) -> None:
    """The forked child's life, from here to its end: it never returns into the server's loop."""
    code = 70
    try:
        parent = os.getppid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        posix.close_all_but({1, 2, control, events})
        null = os.open(os.devnull, os.O_RDONLY)
        assert null == 0
        os.setsid()
        posix.die_with_parent(parent)
        code = role(control, events)
    except BaseException:  # noqa: BLE001  # whatever it is, it must be told and must not unwind into the loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> int:
    """Serves until the worker closes the socket or dies."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    posix.die_with_parent(int(sys.argv[2]))
    posix.set_name("netmill-zygote")
    # the worker drains its runners itself; a signal to the whole group must not take them away under it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # read once for all children
    fingerprint()
    piece = rehearsal.stage(Path(tempfile.mkdtemp(prefix="stage-")))
    threads = computing_threads()
    assert len(threads) == 1, f"forking with threads {threads} would lose their locks"
    in_use: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    assert not in_use, "a child forked after CUDA was used cannot use it"
    # children share these objects' pages for as long as no collection touches their headers
    gc.collect()
    gc.freeze()
    posix.forget_clean_files()
    requests.send(b"ready")
    Zygote(requests, {**ROLES, "spare": rehearsal.Spare(piece, runner.main)}).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
