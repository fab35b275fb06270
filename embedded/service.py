"""What `netmill up` runs: which parts, with which environment, and when the whole is ready."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from embedded import broker, database
from embedded.address import is_loopback, reserve, url_of
from embedded.keeper import Keeper
from embedded.lock import own
from embedded.parts import Part
from embedded.signals import noted

SERVER_FILE = "server.json"


class Say(Protocol):
    """Tells the operator something; the facts are the same for programs."""

    def __call__(self, words: str, **facts: object) -> None: ...


class Refused(Exception):
    """The service may not start as asked; the message says what to change."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for; `port` 0 means any free one, `workers` is runners at once."""

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    echo: bool = False


def serve(options: Options, environment: Mapping[str, str], say: Say) -> None:
    """Runs the service until a stop signal; raises what its parts raise when it cannot start at all."""
    started = time.monotonic()
    folder = options.folder.expanduser().resolve()
    authentication = authentication_of(options.host, environment)
    if set("?#") & set(str(folder)):
        raise Refused(f"the folder {folder} has a '?' or '#' in its name, which a database URL cannot hold")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    server_file = folder / SERVER_FILE
    with noted() as stops, own(folder):
        # what one that was killed left behind names an address that is nobody's, or somebody else's by now
        server_file.unlink(missing_ok=True)
        port, _holder = reserve(options.host, options.port)
        url = url_of(options.host, port)
        settings = settings_of(options, folder, port, authentication, environment)
        database.migrate(settings["DATABASE_URL"], settings)
        parts = parts_of(folder, settings, own_broker=not environment.get("REDIS_URL"))

        def on_ready() -> None:
            _write(server_file, {"url": url, "pid": os.getpid(), "started_at": datetime.now(UTC).isoformat()})
            keys = "" if authentication == "off" else "; a key is needed, see NETMILL_ADMIN_KEY"
            words = f"ready at {url} after {time.monotonic() - started:.1f} s (data in {folder}{keys}); Ctrl-C stops it"
            say(words, event="ready", url=url, pid=os.getpid())

        try:
            Keeper(parts, folder, stops, say, echo=options.echo).run(lambda: is_ready(url), on_ready)
        finally:
            server_file.unlink(missing_ok=True)
        say("stopped")


def authentication_of(host: str, environment: Mapping[str, str]) -> str:
    """`off` or `keys`; raises Refused for an address that others reach and no key to ask them for.

    On loopback no key is needed, unless the operator names one: a key that is set and not asked for would be a trap.
    """
    has_key = bool(environment.get("NETMILL_ADMIN_KEY"))
    wanted = environment.get("NETMILL_AUTH") or ("keys" if has_key else "off")
    if is_loopback(host) or (has_key and wanted == "keys"):
        return wanted
    raise Refused(
        f"on {host} others can reach the service, so it needs a key: set NETMILL_ADMIN_KEY=nm_… to a long secret "
        "(and leave NETMILL_AUTH unset), or listen on 127.0.0.1"
    )


def settings_of(
    options: Options, folder: Path, port: int, authentication: str, environment: Mapping[str, str]
) -> dict[str, str]:
    """The environment variables by which every part finds the others; what the operator set elsewhere is kept."""
    return {
        "DATABASE_URL": environment.get("DATABASE_URL") or database.sqlite_url(folder),
        "REDIS_URL": environment.get("REDIS_URL") or f"redis+socket://{broker.socket_path(folder)}",
        "NETMILL_DATA_DIR": str(folder),
        "NETMILL_MODE": "embedded",
        "NETMILL_AUTH": authentication,
        "NETMILL_HOST": options.host,
        "NETMILL_PORT": str(port),
        "NETMILL_SLOTS": str(options.workers),
        # `-m api` must find ours and not a folder `api` where the user happens to stand
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(database.ROOT), environment.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
    }


def parts_of(folder: Path, settings: Mapping[str, str], *, own_broker: bool) -> list[Part]:
    """Broker (unless REDIS_URL names one), API and worker, whose grace covers its runners' last checkpoint."""
    python = [sys.executable, "-m"]
    parts = [
        Part("api", [*python, "api"], settings, grace_s=10),
        Part("worker", [*python, "worker"], settings, grace_s=40),
    ]
    if not own_broker:
        return parts

    def before(early_deaths: int) -> None:
        # an append-only file that cannot be read would end the broker at once for ever, and nothing in it is precious
        (broker.forget if early_deaths >= 2 else broker.prepare)(folder)

    return [Part("broker", broker.command(folder), grace_s=5, last=True, before=before), *parts]


def is_ready(url: str, timeout_s: float = 1.0) -> bool:
    """True when the API says that database, broker and a worker are there."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=timeout_s)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _write(file: Path, content: Mapping[str, object]) -> None:
    """Writes so that a reader sees all of it or nothing."""
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    temporary.replace(file)
