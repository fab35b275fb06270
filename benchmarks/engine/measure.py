"""Microseconds a step of every peer, taken in turn.

A step's time is (time of a long run - time of a short run) / (steps that the long one has more): what a run costs
once, whatever that is, falls out for everybody alike. Peers take turns, a round after the other, and each round begins
with another one, so that what else the machine does hits all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.engine.workloads import WORKLOADS, Workload, made_rows
from benchmarks.figures import summary
from benchmarks.peers.peer import Peer
from benchmarks.peers.process import Absent, PeerProcess

_FIRST_S = 240.0
_RUN_S = 120.0

Row = dict[str, Any]


def measure(
    peers: Sequence[Peer], workloads: Sequence[str], threads: Sequence[int], repeats: int, folder: Path
) -> tuple[list[Row], dict[str, dict[str, str]]]:
    """(a row for every peer, workload and number of threads; the packages of each environment)."""
    paths = {name: folder / f"{name}.npz" for name in workloads}
    for name, path in paths.items():
        made_rows(WORKLOADS[name]).write(path)
    rows: list[Row] = []
    packages: dict[str, dict[str, str]] = {}
    for count in threads:
        with ExitStack() as stack:
            running, absent = _start(peers, count, folder, stack)
            packages |= {process.peer.venv: process.packages for process in running}
            for name in workloads:
                asked = [process for process in running if name not in process.peer.without]
                rows += _measure_one(WORKLOADS[name], paths[name], asked, repeats)
                rows += [_row(peer, name, count) | {"absent": why} for peer, why in _missing(peers, absent, name)]
    return rows, packages


def _missing(peers: Sequence[Peer], absent: Mapping[str, str], workload: str) -> Iterator[tuple[Peer, str]]:
    """Those that have no time for this workload, with the reason; an empty reason is none to tell."""
    for peer in peers:
        if why := peer.without.get(workload, absent.get(peer.name, "")):
            yield peer, why


def _start(
    peers: Iterable[Peer], threads: int, folder: Path, stack: ExitStack
) -> tuple[list[PeerProcess], dict[str, str]]:
    """(those that run; the names of those that do not, and why)."""
    running, absent = [], {}
    for peer in peers:
        try:
            running.append(stack.enter_context(PeerProcess(peer, threads, folder)))
        except Absent as why:
            absent[peer.name] = str(why)
    return running, absent


def _measure_one(workload: Workload, data: Path, processes: list[PeerProcess], repeats: int) -> list[Row]:
    rows = {process.peer.name: _row(process.peer, workload.name, process.threads) for process in processes}
    samples: dict[str, list[float]] = {name: [] for name in rows}

    def ask(process: PeerProcess, request: dict[str, Any], within_s: float, told: str = "seconds") -> float | None:
        row = rows[process.peer.name]
        if "absent" in row:
            return None
        try:
            return float(process.ask(request, within_s)[told])
        except Absent as why:
            row["absent"] = str(why)
            return None

    short, long = workload.epochs
    for process in processes:
        # the first runs compile, allocate and warm the caches: told apart, never among the samples
        parts = [ask(process, {"prepare": workload.name, "data": str(data)}, _FIRST_S, "took_s")]
        parts += [ask(process, {"epochs": epochs}, _FIRST_S, "took_s") for epochs in workload.epochs]
        rows[process.peer.name]["first_s"] = round(sum(part or 0.0 for part in parts), 2)
    for turn in range(repeats):
        _say(f"{workload.name}, round {turn + 1} of {repeats}")
        first = turn % len(processes) if processes else 0
        for process in processes[first:] + processes[:first]:
            begun, ended = (ask(process, {"epochs": epochs}, _RUN_S) for epochs in (short, long))
            if begun is not None and ended is not None:
                samples[process.peer.name].append((ended - begun) / workload.timed_steps / process.peer.models * 1e6)
    for name, row in rows.items():
        if "absent" not in row:
            row |= {"us": summary(samples[name]), "samples_us": [round(each, 1) for each in samples[name]]}
    return list(rows.values())


def _row(peer: Peer, workload: str, threads: int) -> Row:
    return {"peer": peer.name, "title": peer.title, "workload": workload, "threads": threads}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
