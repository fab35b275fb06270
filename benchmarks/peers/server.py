"""One peer in a process of its own: it prepares a workload, and then trains it as often as it is asked.

A request is a JSON line: {"prepare": workload, "data": path} or {"epochs": n}. An answer is one as well: {"seconds": s,
"took_s": s}, those that count and all, or {"error": text}. What the peer itself prints goes to the log.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from benchmarks.engine.workloads import WORKLOADS, Data
from benchmarks.peers.catalogue import JOB_PEERS, PEERS
from benchmarks.peers.peer import Prepares, Train


class Session:
    """The peer with the workload that it trains now."""

    def __init__(self, prepare: Prepares, threads: int) -> None:
        self._prepare = prepare
        self._threads = threads
        self._train: Train | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "prepare" in request:
            # the last one's memory first
            self._train = None
            data = Data.read(Path(request["data"]))
            began = time.perf_counter()
            self._train = self._prepare(WORKLOADS[request["prepare"]], data, self._threads)
            seconds = None
        else:
            assert self._train is not None, "nothing is prepared"
            began = time.perf_counter()
            seconds = self._train(request["epochs"])
        took = time.perf_counter() - began
        return {"seconds": took if seconds is None else seconds, "took_s": took}


def serve(session: Session, requests: TextIO, answers: TextIO) -> None:
    """Answers until there is no further request; a peer's fault is an answer too."""
    for line in requests:
        try:
            answer = session.answer(json.loads(line))
        except Exception as fault:  # noqa: BLE001 - whatever a peer raises is told, and the row says it
            traceback.print_exc()
            answer = {"error": f"{type(fault).__name__}: {fault}".splitlines()[0][:300]}
        print(json.dumps(answer), file=answers, flush=True)


def packages() -> dict[str, str]:
    """Name and version of all that is installed beside this interpreter."""
    return dict(sorted((each.metadata["Name"], each.version) for each in metadata.distributions()))


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("peer")
    options.add_argument("threads", type=int)
    chosen = options.parse_args()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    peer = (PEERS | JOB_PEERS)[chosen.peer]
    if peer.pinned:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-chosen.threads :])
    try:
        module = importlib.import_module(f"benchmarks.peers.{peer.module}")
    except ImportError as fault:
        print(json.dumps({"error": f"cannot be imported: {fault}"}), file=answers, flush=True)
        return 1
    print(json.dumps({"packages": packages()}), file=answers, flush=True)
    serve(Session(module.prepare, chosen.threads), sys.stdin, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
