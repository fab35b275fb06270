"""The jobs of one slot, dealt over as many runners as the slot has processors for.

Steps of networks that gain by company are small and use one processor, so a slot that may use several has a runner for
each. What a job comes to does not depend on whom it shares a runner with.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from worker.held import HeldJob
from worker.supervisor import Supervisor
from worker.tools import Tools

LEAST = 8
"""Jobs that share a runner at least. Eight networks and more have small steps, as larger ones gain nothing by so much
company (`core.spec.cohorts`); and of fewer each would pay more for its part in a step than a second process saves."""


def deal(jobs: Sequence[HeldJob], processors: int) -> list[list[HeldJob]]:
    """Equal shares of the jobs, one for each runner: `processors` of them at most, with `LEAST` jobs or more each."""
    runners = max(1, min(processors, len(jobs) // LEAST))
    return [list(jobs[place::runners]) for place in range(runners)]


class Crew:
    """Trains jobs that were claimed together, in one runner or several at once."""

    def __init__(self, tools: Tools, jobs: Sequence[HeldJob]) -> None:
        self.jobs = list(jobs)
        shares = deal(jobs, tools.options.threads)
        self._supervisors = [Supervisor(tools, share, runners=len(shares)) for share in shares]

    def run(self) -> None:
        """Trains and records them; returns when nothing of any is left on this machine."""
        first, *others = self._supervisors
        threads = [threading.Thread(target=other.run, name="runner", daemon=True) for other in others]
        for thread in threads:
            thread.start()
        first.run()
        for thread in threads:
            thread.join()
