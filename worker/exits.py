"""Why a runner ended, in words for the job's owner."""

from __future__ import annotations

import os
import signal
from pathlib import Path

CROWDED = os.EX_TEMPFAIL
"""How a runner ends that ran out of memory with several jobs in it: it is the fault of none."""

_CODES = {
    os.EX_IOERR: "the runner could not read or write its files; the worker's disk may be full",
    CROWDED: "the runner ran out of memory",
}
_KNOWN = {
    signal.SIGSEGV: "it crashed with a segmentation fault (SIGSEGV)",
    signal.SIGBUS: "it crashed with a bus error (SIGBUS); the disk or shared memory may be full",
    signal.SIGFPE: "it crashed with an arithmetic fault (SIGFPE)",
    signal.SIGILL: "it met an instruction that this CPU does not have (SIGILL)",
    signal.SIGABRT: "it aborted (SIGABRT)",
    signal.SIGXFSZ: "it wrote a file larger than allowed (SIGXFSZ)",
    signal.SIGXCPU: "it used more CPU time than allowed (SIGXCPU)",
}


def oom_kills() -> int:
    """Processes that the kernel killed for want of memory since it booted; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def explain(status: int | None, oom_kills_before: int) -> str:
    """A sentence about a runner that ended without saying how its run ended.

    `status` is the raw wait status, None when the fork server died with it; `oom_kills_before` is
    `oom_kills()` from before the run.
    """
    if status is None:
        return "the runner was lost together with the worker's fork server"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return _CODES.get(code, f"the runner exited with code {code} before the run was over")
    if -code == signal.SIGKILL:
        if oom_kills() > oom_kills_before:
            return "the runner was killed by the kernel because the machine or container ran out of memory"
        return "the runner was killed (SIGKILL)"
    known = _KNOWN.get(signal.Signals(-code)) if -code in set(signal.Signals) else None
    return f"the runner died: {known or f'signal {-code} ended it'}"
