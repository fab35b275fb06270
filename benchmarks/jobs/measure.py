"""Seconds of whole jobs: one, 64 at once, a thousand at once; through the service, and by peers in their processes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.engine.workloads import TOGETHER, WORKLOADS, Data
from benchmarks.figures import summary
from benchmarks.jobs.netmill_service import DIGITS, EPOCHS, Netmill, TooSlow
from benchmarks.peers.catalogue import JOB_PEERS
from benchmarks.peers.process import Absent, PeerProcess
from core.data.builtin import make_builtin
from core.data.prepare import prepare
from core.spec.limits import Limits
from core.spec.plan import check_job

Row = dict[str, Any]
Timed = Callable[[], float]

THOUSAND = 1000
_PEER_S = 300.0
_THOUSAND_S = 300.0


def one_job(netmill: Netmill, folder: Path, repeats: int) -> list[Row]:
    """A job of 20 epochs from submission to success, against a `fit` in process and H2O's server."""
    timed = {"netmill": ("Netmill, submit to succeeded", netmill.whole_job)}
    return _rounds("one", timed, ("scikit_learn", "pytorch_usual", "h2o"), folder, repeats)


def jobs_at_once(netmill: Netmill, folder: Path, repeats: int) -> list[Row]:
    """64 such jobs submitted at once to one worker, against peers that train as many."""
    company: dict[str, int] = {}

    def together() -> float:
        nonlocal company
        seconds, company = netmill.many(TOGETHER, _PEER_S)
        return seconds

    timed = {"netmill": (f"Netmill, {TOGETHER} jobs at once, one worker", together)}
    rows = _rounds("together", timed, ("pytorch_fits", "joblib_fits"), folder, repeats)
    return [row | {"cohorts": company} if row["peer"] == "netmill" else row for row in rows]


def thousand(netmill: Netmill) -> Row:
    """A thousand of them, once."""
    row: Row = {"part": "thousand", "peer": "netmill", "title": f"Netmill, {THOUSAND:,} jobs at once, one worker"}
    try:
        seconds, company = netmill.many(THOUSAND, _THOUSAND_S)
    except TooSlow as why:
        return row | {"absent": str(why)}
    return row | {"seconds": summary([seconds], 2), "cohorts": company}


def _rounds(
    part: str, timed: Mapping[str, tuple[str, Timed]], peers: tuple[str, ...], folder: Path, repeats: int
) -> list[Row]:
    """A row for each of `timed` and of `peers`, measured in turn after one round that is not counted."""
    rows: dict[str, Row] = {}
    calls: dict[str, Timed] = {}
    samples: dict[str, list[float]] = {}
    with ExitStack() as stack:
        for name, (title, call) in timed.items():
            rows[name], calls[name] = {"part": part, "peer": name, "title": title}, call
        for name in peers:
            rows[name] = {"part": part, "peer": name, "title": JOB_PEERS[name].title}
            try:
                calls[name] = _peer(name, folder, stack)
            except Absent as why:
                rows[name]["absent"] = str(why)
        for turn in range(repeats):
            print(f"{part}, round {turn + 1} of {repeats}", file=sys.stderr, flush=True)
            for name, call in calls.items():
                try:
                    samples.setdefault(name, []).append(call())
                except (Absent, TooSlow) as why:
                    rows[name]["absent"] = str(why)
    for name, row in rows.items():
        if "absent" not in row:
            row |= {"seconds": summary(samples[name], 4), "samples_s": [round(each, 4) for each in samples[name]]}
    return list(rows.values())


def _peer(name: str, folder: Path, stack: ExitStack) -> Timed:
    """The peer's process with one thread, warm."""
    data = folder / "digits-training.npz"
    if not data.exists():
        _training_rows(folder).write(data)
    process = stack.enter_context(PeerProcess(JOB_PEERS[name], 1, folder))
    process.ask({"prepare": WORKLOADS["digits"].name, "data": str(data)}, _PEER_S)
    process.ask({"epochs": 1}, _PEER_S)
    return lambda: float(process.ask({"epochs": EPOCHS}, _PEER_S)["seconds"])


def _training_rows(folder: Path) -> Data:
    """The rows that the service trains such a job on, prepared as it prepares them."""
    made = make_builtin("digits", {}, folder / "digits")
    spec = check_job(DIGITS, lambda _: made.schema, Limits()).spec
    prepared = prepare(spec, made.schema, made.data_path)
    assert prepared.y is not None
    train, validation = prepared.train, prepared.validation
    return Data(prepared.x[train], prepared.y[train], prepared.x[validation], prepared.y[validation])
