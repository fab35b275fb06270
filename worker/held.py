"""One job in a worker's hands, from its claim to its end or its loss: what is asked of it, and what it has told.

The thread of its supervisor owns it. Other threads may only ask it to stop (`request_stop`), pass on changes (`tell`)
or say that it is not ours any more (`lose`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from core.changes import Change
from core.events import LAST, Checkpoint, Metrics, Progress, Told, row_of
from core.services.protocol import Claim, Report
from core.states import StopReason
from worker import posix
from worker.batches import Batch
from worker.options import Options

log = structlog.get_logger(__name__)

Send = Callable[[dict[str, Any]], None]


@dataclass(slots=True, eq=False)
class HeldJob:
    """A claimed job. `beat` is when the last good heartbeat was sent.

    `over` says that its end is committed: from then on the lease is nobody's, and that is no loss.
    """

    claim: Claim
    options: Options
    beat: float
    told: int = 0
    """Number of the last change that is on its way to the runner."""
    stop_reason: StopReason | None = None
    kill_at: float = float("inf")
    """When a runner that has not stopped it is killed."""
    lost: bool = False
    over: bool = False
    position: tuple[int, int] = (0, 0)
    """(epoch, step) of the last event that said so."""
    batch: Batch = field(default_factory=Batch)
    shown: bool = False
    """Whether a row of its history was recorded: somebody may be waiting for the first."""
    on_loss: Callable[[], None] = lambda: None
    _batches: int = 0
    _asked: list[dict[str, Any]] = field(default_factory=list)
    _send: Send | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def job_id(self) -> str:
        return self.claim.job_id

    @property
    def key(self) -> tuple[str, int]:
        """Its fence too: a job that we lost may be claimed again while its first run here is still being cleared."""
        return self.claim.job_id, self.claim.fence

    @property
    def is_held(self) -> bool:
        return not (self.lost or self.over)

    def request_stop(self, reason: StopReason) -> None:
        """Asks the runner to stop at its next step; the first reason stands."""
        with self._lock:
            if self.stop_reason is not None:
                return
            self.stop_reason = reason
            grace_s = self.options.drain_s if reason is StopReason.SHUTDOWN else self.options.stop_s
            self.kill_at = posix.boot_time() + grace_s
            self._say({"stop": reason.value})

    def tell(self, changes: Sequence[Change], seq: int) -> None:
        """Passes on the changes that were asked for since the claim, `seq` the number of the last."""
        with self._lock:
            # more may have been asked for between the two looks at the database
            self.told = max([seq, *(change.number for change in changes)])
            for change in changes:
                self._say({"change": change.to_json()})

    def lose(self, why: str) -> None:
        """Lets go of it now: the job is another worker's, or will be before we know."""
        self.lost = True
        log.warning("job_lost", job_id=self.job_id, fence=self.claim.fence, why=why)
        self.dismiss()
        self.on_loss()

    def dismiss(self) -> None:
        """Has the runner stop it, whatever it tells from here on."""
        with self._lock:
            self._say({"stop": StopReason.SHUTDOWN.value})

    def _say(self, words: dict[str, Any]) -> None:
        words = {"job": self.job_id, **words}
        if self._send:
            self._send(words)
        else:
            self._asked.append(words)

    def connect(self, send: Send) -> None:
        """From here on the runner hears what is asked, what was asked before first."""
        with self._lock:
            self._send = send
            for words in self._asked:
                send(words)
            self._asked.clear()

    def disconnect(self) -> None:
        """The runner is gone."""
        with self._lock:
            self._send = None

    @property
    def is_urgent(self) -> bool:
        """Whether what it has told should not wait: its first row, its last word, or very much of it."""
        is_first = not self.shown and self.batch.has(str)
        return is_first or self.batch.is_full or isinstance(self.batch.last, LAST)

    def report(self, events: Sequence[Told]) -> Report:
        """The next batch of its events."""
        self._batches += 1
        self.shown = self.shown or any(isinstance(event, str) for event in events)
        for told in reversed(events):
            event = row_of(told) if isinstance(told, str) else told
            if isinstance(event, Progress | Metrics | Checkpoint):
                self.position = (event.epoch, event.step)
                break
        return Report(self.claim, events, self._batches)
