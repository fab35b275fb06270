"""What recording and checkpointing cost the training beside it: the same runs with and without, in turn, and medians.

    .venv/bin/python -m benchmarks.overhead [--times 9]

With: a runner tells each epoch and keeps its checkpoints, and the real supervisor records all of it in SQLite.
Without: the same training in the same kind of process, which tells nobody, takes no snapshot and writes nothing. Every
epoch is evaluated in both. One thread. `wall` is from the first epoch's end to the last one's by the runner's clock;
`cpu` is all that the training process computed, which a busy machine spoils less. Prints and writes JSON.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from sqlalchemy import func, select

from benchmarks import results
from benchmarks.machine import circumstances
from benchmarks.recording import house
from core.data.builtin import make_builtin
from core.db.session import Sessions, reading, transaction
from core.db.tables import Metric
from core.engine import run as engine
from core.engine.assembly import Assembly
from core.engine.checkpoint import Snapshot
from core.engine.keeper import Keeper
from core.events import Checkpoint, Metrics
from core.services import jobs, protocol
from core.services.principal import LOCAL
from core.spec.limits import Limits
from core.spec.plan import check_job
from worker import posix, runner
from worker.forks import Child, ForkServer
from worker.held import HeldJob
from worker.supervisor import Supervisor
from worker.tools import Tools

RUNS: dict[str, dict[str, Any]] = {
    "digits 64-32-10, batch 32": {
        "data": {"dataset": "digits"},
        "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]},
        "training": {"epochs": 300, "batch_size": 32},
    },
    "higgs 28-300-300-300-1, batch 256": {
        "data": {"dataset": "higgs"},
        "network": {"family": "deep_feed_forward", "hidden": [300, 300, 300]},
        "training": {"epochs": 12, "batch_size": 256},
    },
}


class Forgetful(Keeper):
    """Keeps nothing."""

    def is_due_within(self, every_s: float) -> bool:  # noqa: ARG002  # as a keeper is asked
        return False

    def epoch_ended(self, snapshot: Snapshot) -> Iterator[Checkpoint]:  # noqa: ARG002
        return iter(())

    write = epoch_ended

    def flush(self) -> Iterator[Checkpoint]:
        return iter(())


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds of one training: of its epochs but the first, and of its process's computing."""

    wall: float
    cpu: float


@dataclass
class Forks:
    """In place of the fork server: children of this process, which runs no tensor operation."""

    pid: int = 0

    def fork(self, *_: object, **__: object) -> Child:
        control_read, control = os.pipe()
        events, events_write = os.pipe()
        exits, exits_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            for ours in (control, events, exits):
                os.close(ours)
            os._exit(runner.main(control_read, events_write))
        for theirs in (control_read, events_write, exits_write):
            os.close(theirs)
        return Child(self.pid, events, control, exits)


def computed(pid: int) -> float:
    """Processor seconds of a child that is over."""
    usage = os.wait4(pid, 0)[2]
    return usage.ru_utime + usage.ru_stime


def recorded(sessions: Sessions, tools: Tools, body: dict[str, Any]) -> Taken:
    """A job as a worker trains and records it."""
    with transaction(sessions) as session:
        job_id = jobs.submit(session, LOCAL, body, Limits()).id
    with transaction(sessions) as session:
        claim = protocol.claim(session, worker_id="bench", queue=tools.options.queue, lease_s=600)
    assert claim is not None
    forks = Forks()
    Supervisor(replace(tools, forks=cast(ForkServer, forks)), [HeldJob(claim, tools.options, posix.boot_time())]).run()
    with reading(sessions) as session:
        assert jobs.get(session, LOCAL, job_id).status == "succeeded"
        query = select(func.min(Metric.time), func.max(Metric.time)).where(Metric.job_id == job_id)
        first, last = session.execute(query).one()
    return Taken((last - first).total_seconds(), computed(forks.pid))


def untold(body: dict[str, Any], folder: Path) -> Taken:
    """The same training, neither told of nor kept."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        engine.Keeper = Forgetful  # type: ignore[attr-defined]
        Assembly.snapshot = lambda *_, **__: None  # type: ignore[method-assign,assignment]
        data = make_builtin(body["data"]["dataset"], {}, folder)
        spec = check_job(body, lambda _: data.schema, Limits()).spec
        run = engine.Run(spec, data.schema, data.data_path, folder)
        torch.set_num_threads(1)
        times = [event.time for event in engine.train(run, lambda: None) if isinstance(event, Metrics)]
        os.write(write, repr(times[-1] - times[0]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        wall = float(told.read())
    return Taken(wall, computed(pid))


def pair(sessions: Sessions, tools: Tools, body: dict[str, Any], folder: Path, turn: int) -> tuple[Taken, Taken]:
    """With and without, every other time the other way round: a machine that gets slower hurts both alike."""
    if turn % 2:
        alone = untold(body, folder)
        return recorded(sessions, tools, body), alone
    return recorded(sessions, tools, body), untold(body, folder)


def cost(pairs: list[tuple[float, float]]) -> dict[str, float]:
    """Medians with and without; of the pairs' ratios less 1 the median, the least and the greatest."""
    told, alone = (statistics.median(each) for each in zip(*pairs, strict=True))
    costs = [a / b - 1 for a, b in pairs]
    spread = {"least": min(costs), "most": max(costs)}
    return {"with_s": told, "without_s": alone, "cost": statistics.median(costs), **spread}


def shown(found: dict[str, float]) -> str:
    return f"{found['cost']:+.1%} ({found['least']:+.1%} to {found['most']:+.1%})"


def main(arguments: Sequence[str] | None = None) -> int:
    options = results.options(__doc__)
    options.add_argument("--times", type=int, default=9)
    given = options.parse_args(arguments)
    times = 3 if given.quick else given.times
    began = time.monotonic()
    figures: dict[str, Any] = circumstances() | {"quick": given.quick}
    with tempfile.TemporaryDirectory() as name, house(f"sqlite:///{name}/netmill.db", Path(name)) as (sessions, tools):
        for run, body in RUNS.items():
            pairs = [pair(sessions, tools, body, Path(name) / "data", turn) for turn in range(times)]
            figures[run] = {
                each: cost([(getattr(a, each), getattr(b, each)) for a, b in pairs]) for each in ("wall", "cpu")
            }
            told = "; ".join(f"{name} {shown(found)}" for name, found in figures[run].items())
            print(f"{run}, {figures[run]['wall']['without_s']:.2f} s without: {told}")
    figures["seconds"] = round(time.monotonic() - began)
    results.write("overhead", figures, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
