"""The PostgreSQL that growth is measured on: durable as in production, on the machine's own disk.

    .venv/bin/python -m benchmarks.growth.server FOLDER

serves until Ctrl-C and prints the URL; the folder keeps the data and may be deleted afterwards.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres import server_in

# what an operator of a small server would set; all else as PostgreSQL comes, fsync and synchronous commit too
SETTINGS = (
    "shared_buffers=1GB",
    "effective_cache_size=4GB",
    "random_page_cost=1.1",
    "max_wal_size=4GB",
    "maintenance_work_mem=512MB",
    "max_connections=200",
)


@contextmanager
def big_server(folder: Path) -> Iterator[str]:
    """The URL of the database `postgres` of the server whose data stand in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with server_in(folder, SETTINGS) as url:
        yield url


def main(folder: Path) -> None:
    """Serves until it is interrupted."""
    with big_server(folder) as url:
        print(url, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main(Path(sys.argv[1]))
