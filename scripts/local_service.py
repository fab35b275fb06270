"""An embedded service of one's own for as long as a script needs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

START_TIMEOUT_S = 60.0


class Stopped(Exception):
    """The service did not come up."""


@contextmanager
def service(folder: Path, console: Console) -> Iterator[str]:
    """The URL of an embedded service that lives as long as the block."""
    command = [sys.executable, "-m", "netmill.cli", "up", "--data-dir", str(folder / "data"), "--port", "0"]
    with (folder / "log").open("wb") as log, console.status("starting broker, database, API and worker"):
        # a session of its own: Ctrl-C is for us, and we end the service in order
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            url = wait_for_address(process, folder)
        except BaseException:
            end(process)
            raise
    console.print(f"service ready at {url}", highlight=False)
    try:
        yield url
    finally:
        end(process)


def wait_for_address(process: subprocess.Popen[bytes], folder: Path) -> str:
    """The URL that the service writes once it is ready; raises Stopped with its last words."""
    file = folder / "data" / "server.json"
    end_at = time.monotonic() + START_TIMEOUT_S
    while not file.exists():
        if process.poll() is not None or time.monotonic() > end_at:
            raise Stopped(f"the service did not start:\n{(folder / 'log').read_text(errors='replace')[-3000:]}")
        time.sleep(0.02)
    return str(json.loads(file.read_text())["url"])


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and after half a minute SIGKILL."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
