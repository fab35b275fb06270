"""All of it, one after the other, and docs/growth.md from it.

    .venv/bin/python -m benchmarks.growth --folder FOLDER [--quick]

A PostgreSQL server of its own keeps its data under the folder, which needs 25 GB (--quick: 1 GB). A database that is
there from an earlier run is measured again and not made again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import psycopg

from benchmarks.growth import page
from benchmarks.growth.server import big_server
from core.db.migrate import upgrade
from tests.support.postgres import create_database, drop_database

SIZES = ((10_000, 500_000), (100_000, 5_000_000), (1_000_000, 50_000_000))
QUICK_SIZES = ((2_000, 100_000), (20_000, 1_000_000))


def run(module: str, *options: object) -> None:
    """One benchmark in a process of its own; a failure ends all."""
    subprocess.run([sys.executable, "-m", f"benchmarks.growth.{module}", *map(str, options)], check=True)


def database(server: str, jobs: int, rows: int) -> str:
    """The URL of the database with so many jobs, made now if need be; it has its name when it is whole."""
    name, making = f"growth_{jobs}", f"growth_{jobs}_making"
    plain = server.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(plain, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            drop_database(server, making)
            run("make_big", "--database-url", create_database(server, making), "--jobs", jobs, "--rows", rows)
            connection.execute(f"ALTER DATABASE {making} RENAME TO {name}".encode())
    head, _, query = server.partition("?")
    url = f"{head.rsplit('/', 1)[0]}/{name}?{query}"
    upgrade(url)
    return url


def measure_all(server: str, *, quick: bool) -> None:
    """Databases of each size; claims and heartbeats on the largest; a worker's memory on both kinds."""
    url = ""
    for jobs, rows in QUICK_SIZES if quick else SIZES:
        url = database(server, jobs, rows)
        run("measure", "--database-url", url, "--repeats", 50 if quick else 300)
    run("heartbeats", "--database-url", url)
    contest = ("--jobs", 500 if quick else 10_000, "--workers", 16)
    run("claims", "--database-url", url, *contest, "--trains-s", 0.3)
    run("claims", "--database-url", url, *contest, "--trains-s", 0)
    run("prepared", "--times", 2 if quick else 5)
    worker = ("--jobs", 200 if quick else 2_000, "--every", 20 if quick else 100)
    run("memory", *worker)
    run("memory", *worker, "--together")
    drop_database(server, "growth_worker")
    run("memory", *worker, "--database-url", create_database(server, "growth_worker"))
    drop_database(server, "growth_worker")


def main() -> None:
    """Runs all and writes the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--quick", action="store_true")
    given = options.parse_args()
    with big_server(given.folder) as server:
        measure_all(server, quick=given.quick)
    page.main()


if __name__ == "__main__":
    main()
