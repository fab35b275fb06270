"""What one API process holds: made once by `api.app`, handed to the routes by `api.deps`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anyio import CapacityLimiter
from sqlalchemy import Engine

from api.drawing import Drawn
from api.gather import Gather
from api.given import Given
from api.rendered import Rendered
from api.submissions import Submissions
from api.telemetry import Telemetry
from api.watcher import Watcher
from core.db.commits import Commits
from core.db.session import Sessions
from core.queue import Queue
from core.services.principal import Principal
from core.services.watch import Head
from core.spec.limits import Limits
from core.storage.store import BlobStore


@dataclass(frozen=True, slots=True)
class Parts:
    """Plain values and the connections that routes work with."""

    auth: Literal["off", "keys"]
    limits: Limits
    queue_name: str
    idempotency_ttl_s: float
    predict_wait_s: float
    uploads_dir: Path
    engine: Engine
    commits: Commits
    sessions: Sessions
    store: BlobStore
    queue: Queue
    telemetry: Telemetry
    looking: ThreadPoolExecutor
    submitting: ThreadPoolExecutor
    principals: Gather[str, Principal]
    heads: Gather[str, Head]
    rendered: Rendered
    given: Given
    rendering: CapacityLimiter
    submissions: Submissions
    jobs: Watcher
    questions: Watcher
    uploading: CapacityLimiter
    drawing: CapacityLimiter
    drawn: Drawn
