"""A peer's process as the harness holds it: started, asked, and ended when it does not answer in time."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.peers.catalogue import NETMILL
from benchmarks.peers.peer import Peer

ROOT = Path(__file__).parents[2]
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
_START_S = 120.0
_LAST_WORDS_S = 5.0
# each library reads its own
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NETMILL_THREADS",
)


class Absent(Exception):
    """The peer cannot be measured, and why."""


@dataclass(slots=True)
class PeerProcess:
    """One peer with its number of threads; leaving the `with` block ends it."""

    peer: Peer
    threads: int
    folder: Path
    packages: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        python = Path(sys.executable) if self.peer.venv == NETMILL else PEERS_PYTHON
        if not python.exists():
            raise Absent(f"{python.relative_to(ROOT)} is not there: run make bench, which sets it up")
        threads = dict.fromkeys(_THREAD_VARIABLES, str(self.threads))
        # compiled programs of this run alone: a cache from before would hide what compiling costs
        caches = {"TORCHINDUCTOR_CACHE_DIR": str(self.folder / f"inductor-{self.threads}")}
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.peers.server", self.peer.name, str(self.threads)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | threads | caches | dict(self.peer.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.folder / f"{self.peer.name}-{self.threads}.log").open("ab"),
        )
        self.packages = self._read(_START_S)["packages"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def ask(self, request: dict[str, Any], within_s: float) -> dict[str, Any]:
        """The answer; Absent when it is an error or does not come in time."""
        process = self._process
        if process is None or process.stdin is None or process.poll() is not None:
            raise Absent("its process has ended")
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        return self._read(within_s)

    def end(self) -> None:
        """Ends the process if it still runs."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(_LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _read(self, within_s: float) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], within_s)[0]:
            process.kill()
            raise Absent(f"no answer within {within_s:.0f} s")
        line = process.stdout.readline()
        if not line:
            raise Absent(f"its process ended with {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Absent(answer["error"])
        return answer
