"""What every thread of one worker shares."""

from __future__ import annotations

from dataclasses import dataclass

from core.db.session import Sessions
from core.queue import Queue
from core.services.protocol import CrashPolicy
from core.storage.store import BlobStore
from worker.cache import FileCache
from worker.forks import ForkServer
from worker.options import Options


@dataclass(frozen=True, slots=True)
class Tools:
    """The ends of everything a worker talks to, and what it was told at its start."""

    options: Options
    sessions: Sessions
    store: BlobStore
    queue: Queue
    forks: ForkServer
    cache: FileCache

    @property
    def policy(self) -> CrashPolicy:
        return CrashPolicy(max_crashes=self.options.max_crashes, backoff_s=self.options.backoff_s)
