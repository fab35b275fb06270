"""A runner made ahead of its job: it trains a tiny network once, and then waits for its order.

A forked process pays with every first touch: each page of a library that it calls is mapped anew, each object that it
changes is copied, by the thousand. Half of a short job's time was that. A spare has paid before the job is there. What
it has trained is forgotten: a run seeds every random stream itself, so its bits do not know whether it was rehearsed.
"""

from __future__ import annotations

import select
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.data.builtin import make_builtin
from core.engine.cohort import Member, train_together
from core.engine.run import Run
from core.errors import NetmillError
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec
from core.spec.limits import Limits
from core.spec.plan import check_job
from worker import posix

_PIECE: dict[str, Any] = {
    "data": {"dataset": "moons", "parameters": {"rows": 60}},
    "network": {"layers": [{"type": "linear", "units": 4}, {"type": "relu"}]},
    "training": {"epochs": 2, "batch_size": 16, "device": "cpu"},
}


def stage(folder: Path) -> Run:
    """What is rehearsed, its data set in a file; no tensor operation is run."""
    data = make_builtin("moons", _PIECE["data"]["parameters"], folder)
    spec = check_job(_PIECE, lambda _: data.schema, Limits()).spec
    return Run(spec, data.schema, data.data_path, folder)


@dataclass(frozen=True, slots=True)
class Spare:
    """The role of a process that rehearses and then becomes what its order makes of it."""

    piece: Run
    become: Callable[[int, int], int]

    def __call__(self, control: int, events: int) -> int:
        posix.set_name("netmill-spare")
        # a runner that could not rehearse is a runner all the same
        with suppress(OSError, NetmillError), tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
            for _ in train_together([Member(self._run(Path(folder)), lambda: None)]):
                pass
        return self.become(control, events) if _is_ordered(control) else 0

    def _run(self, workdir: Path) -> Run:
        """As an order's job is read."""
        spec = JobSpec.model_validate(self.piece.spec.model_dump(mode="json"))
        schema = DatasetSchema.model_validate(self.piece.schema.model_dump(mode="json"))
        return replace(self.piece, spec=spec, schema=schema, workdir=workdir)


def _is_ordered(control: int) -> bool:
    """Waits for a first word; False when the other end has closed its pipe without one."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    return bool(poll.poll()[0][1] & select.POLLIN)
