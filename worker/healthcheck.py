"""`python -m worker.healthcheck`: 0 when a worker of this host and data folder was alive a moment ago."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

from core.settings import Settings

# the heartbeat file is touched twice a second; a database that hangs for this long is not health
FRESH_S = 30.0


def newest_age_s(data_dir: Path, name: str | None) -> float | None:
    """Seconds since the youngest sign of life of the named worker, or of any on this host; None when there is none."""
    pattern = f"{name or socket.gethostname() + '-*'}/heartbeat"
    times = [path.stat().st_mtime for path in (data_dir / "workers").glob(pattern)]
    return time.time() - max(times) if times else None


def main() -> int:
    settings = Settings.from_env()
    age_s = newest_age_s(settings.data_dir, settings.worker_name)
    print("no worker was here" if age_s is None else f"last sign of life {age_s:.1f} s ago")  # noqa: T201  # its output
    return 0 if age_s is not None and age_s < FRESH_S else 1


if __name__ == "__main__":
    sys.exit(main())
