"""One process that must run: how it is started, what its death means, when it is started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

TETHER = Path(__file__).with_name("tether.py")
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 30.0
# a part that lived this long was well: the next death starts again with the shortest wait
HEALTHY_S = 10.0
LARGEST_LOG_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class Part:
    """What to run; `grace_s` is how long it may take to end after SIGTERM, `last` ends it after all others."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    grace_s: float = 10.0
    last: bool = False
    before: Callable[[int], None] | None = None  # run before each start with the number of early deaths in a row


class Running:
    """A part and its process, if it has one."""

    def __init__(self, part: Part, folder: Path, *, echo: bool = False) -> None:
        self.part = part
        self.log = folder / "logs" / f"{part.name}.log"
        self.early_deaths = 0
        self.due = 0.0  # monotonic time of the next start
        self._folder = folder
        self._echo = echo
        self._started = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Starts the process, tied to this one; from the main thread alone, for PDEATHSIG means a thread's death."""
        if self.part.before:
            self.part.before(self.early_deaths)
        self.log.parent.mkdir(exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own commands
                [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *self.part.command],
                cwd=self._folder,
                env={**os.environ, **self.part.environment},
                stdin=subprocess.DEVNULL,
                stdout=None if self._echo else log,
                stderr=None if self._echo else log,
                start_new_session=True,  # a terminal's Ctrl-C is for the keeper, which then asks each part in order
            )
        self._started = time.monotonic()

    def ended(self) -> str | None:
        """How the process ended since the last call, in words; sets when it is due again. None while it lives."""
        if self._process is None or (status := self._process.poll()) is None:
            return None
        self._process = None
        lived_s = time.monotonic() - self._started
        self.early_deaths = 0 if lived_s >= HEALTHY_S else self.early_deaths + 1
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self.early_deaths, 20))
        self.due = time.monotonic() + wait_s
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit code {status}"
        return f"{self.part.name} {how}; it starts again in {wait_s:.1f} s (log: {self.log})"

    def ask_to_end(self) -> None:
        if self._process:
            self._process.terminate()

    def kill(self) -> None:
        """Kills the process and all in its session's group."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            self._process.kill()
        self._process.wait()
        self._process = None

    def gone_within(self, timeout_s: float) -> bool:
        """True when the process has ended by then."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            return False
        self._process = None
        return True

    def last_words(self, lines: int = 5) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
            return "\n".join(log.read().decode(errors="replace").strip().splitlines()[-lines:])
