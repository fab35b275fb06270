"""What one worker is told at its start, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """Times in seconds, sizes in bytes; the words are those of `core.settings`."""

    name: str
    folder: Path
    queue: str = "wake.cpu"
    slots: int = 1
    threads: int = 1
    memory_bytes: int = 0
    # jobs that train together in one runner at most, and the memory that their estimates may add up to
    cohort_max: int = 64
    cohort_bytes: int = 2 * 1024**3
    lease_s: float = 30.0
    heartbeat_s: float = 5.0
    control_s: float = 0.5
    flush_s: float = 0.5
    poll_s: float = 3.0
    sweep_s: float = 5.0
    republish_s: float = 30.0
    drain_s: float = 25.0
    # how long a runner may take to obey a cancel or a pause before it is killed and its last checkpoint stands
    stop_s: float = 10.0
    # how long a runner may be silent before it counts as hung; it reports several times a second between its steps
    stall_s: float = 600.0
    checkpoint_every_s: float = 30.0
    max_crashes: int = 3
    backoff_s: float = 5.0
    idempotency_ttl_s: float = 24 * 3600.0
    predict_s: float = 10.0
    export_s: float = 120.0
    analysis_s: float = 300.0
    cache_bytes: int = 20 * 1024**3
    # prepared data that the workers of the machine share, kept up to so many bytes; 0: none
    prepared_folder: Path = Path("prepared")
    prepared_bytes: int = 0
    # machine code of steps
    compiled_bytes: int = 2 * 1024**3

    @property
    def runs(self) -> Path:
        """Working folders of runs; emptied when the worker starts."""
        return self.folder / "runs"

    @property
    def cache(self) -> Path:
        """Data sets and models that were fetched, by content."""
        return self.folder / "cache"

    @property
    def compiled(self) -> Path:
        """Machine code of steps, a few MB for each shape of a network and its batches."""
        return self.folder / "compiled"

    @property
    def heartbeat_file(self) -> Path:
        """Touched while the worker lives; what the container's health check reads."""
        return self.folder / "heartbeat"
