"""`netmill up`, which the command line finds through the entry-point group `netmill.server`."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from embedded.address import AddressUnusable
from embedded.broker import BrokerMissing
from embedded.database import MigrationFailed
from embedded.lock import FolderInUse
from embedded.service import Options, Refused, serve


def up(
    *,
    data_dir: Annotated[
        Path,
        typer.Option(
            envvar="NETMILL_DATA_DIR",
            help="Folder that holds everything: database, broker, logs. One service at a time owns it.",
        ),
    ] = Path("netmill-data"),
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but loopback needs NETMILL_ADMIN_KEY.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 finds a free one and writes it to DATA_DIR/server.json.")
    ] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Runners at once; jobs that train together count as one.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Say what happens in JSON, one object a line.")] = False,
    logs: Annotated[bool, typer.Option("--logs", help="Show the logs here instead of in DATA_DIR/logs.")] = False,
) -> None:
    """Run the whole service here: broker, database, API and worker."""
    # here, since it takes 0.15 s, and the command line loads this file for all its commands
    from embedded.checks import check_settings  # noqa: PLC0415  # see above

    try:
        check_settings(os.environ)
        serve(Options(data_dir, host, port, workers, echo=logs), os.environ, _say_json if as_json else _say)
    except (AddressUnusable, BrokerMissing, FolderInUse, MigrationFailed, Refused, OSError) as error:
        words = _why(error, data_dir)
        problem = {"error": {"code": "cannot_start", "detail": words}}
        print(json.dumps(problem) if as_json else f"cannot start: {words}", file=sys.stderr)  # noqa: T201  # the command line
        raise typer.Exit(1) from error


def _why(error: Exception, folder: Path) -> str:
    """The error in words; one of the operating system with the folder that it mostly is about."""
    if not isinstance(error, OSError):
        return str(error)
    where = error.filename or folder
    return f"{where}: {error.strerror or error}; the data folder must be one that can be made and written (--data-dir)"


def _say(words: str, **_facts: object) -> None:
    """A line on standard output, at once; a terminal that was closed must not end the service."""
    with suppress(OSError):
        print(words, flush=True)  # noqa: T201  # the command line


def _say_json(words: str, **facts: object) -> None:
    """The same for programs."""
    _say(json.dumps({**facts, "detail": words}))
