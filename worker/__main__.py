"""`python -m worker`: one worker, from the environment's settings."""

from __future__ import annotations

import os
import sys

from core.settings import Settings
from worker import identity, logs
from worker.forks import ForkServer


def main() -> int:
    """Runs until SIGTERM or Ctrl-C; 0 after a clean end."""
    settings = Settings.from_env()
    me = identity.take(settings.data_dir, settings.worker_name)
    logs.set_up(settings.log_level, settings.log_format, worker=me.name)
    # torch takes two seconds to import: begin before our own imports, which take half a second
    threads = settings.runner_threads()
    # one more than slots where the jobs of a claim may be dealt over two runners
    forks = ForkServer(threads, me.folder / "tmp", spares=settings.slots + (threads > 1))
    forks.start()
    from worker import app  # noqa: PLC0415  # see above

    worker = app.Worker(settings, app.options_from(settings, me), forks)
    return app.serve(worker, settings.redis_url)


if __name__ == "__main__":
    # threads of libraries may still wait for the broker; all that matters is committed
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
