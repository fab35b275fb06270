"""`python -m api`: serves the application with the settings of the environment."""

from __future__ import annotations

import gc
import signal
import socket
import sys

import uvicorn
from fastapi import FastAPI

from api.app import Refused, create_app, release_waiters
from api.logs import configure
from api.protocol import Protocol
from core.settings import Settings

# what a request may still take after SIGTERM; long polls are let go at once
GRACE_S = 10
KEEP_ALIVE_S = 30
# objects made between two looks for garbage; with Python's 700 a tenth of the time under load goes there
COLLECT_AFTER = 10_000


class Server(uvicorn.Server):
    """Uvicorn that lets all who wait go before it waits for open requests."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        release_waiters(self._app)
        await super().shutdown(sockets)


def main() -> int:
    """The exit status: 2 when the settings are refused."""
    settings = Settings.from_env()
    configure(settings.log_level, settings.log_format)
    try:
        app = create_app(settings)
    except Refused as refusal:
        sys.stderr.write(f"netmill api: {refusal}\n")
        return 2
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Protocol,
        log_config=None,
        ws="none",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    # uvicorn shuts down in order and then raises the signal again, for whoever was in charge before it
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    server = Server(config, app)
    _settle_memory()
    server.run()
    return 0 if server.started else 3


def _settle_memory() -> None:
    """Takes what stands by now, all code and its tables, out of the collector's sight, or each full look would halt
    every request for some 80 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


def _end(_: int, __: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
