"""The public surface is a list of names, signatures and options; running this file writes it anew."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

import netmill
from netmill.cli import build

SNAPSHOT = Path(__file__).with_name("surface.txt")
ROOT = Path(__file__).parents[2]


def surface() -> str:
    """Names of the package, methods of its handles, commands with their options."""
    lines = ["# names", *netmill.__all__]
    for kind in (netmill.Client, netmill.Job, netmill.Analysis):
        lines += [f"# {kind.__name__}", *methods(kind)]
    lines += ["# commands"]
    commands = typer.main.get_command(build()).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        options = [" ".join(parameter.opts) for parameter in command.params if parameter.name != "help"]
        lines.append(f"{name}: {', '.join(options)}")
    return "\n".join(lines) + "\n"


def methods(kind: type) -> Iterator[str]:
    for name, member in vars(kind).items():
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, property):
            yield f"{name}"
        elif inspect.isfunction(member):
            yield f"{name}{inspect.signature(member)}"


def test_the_surface_is_the_one_that_was_agreed() -> None:
    assert surface() == SNAPSHOT.read_text(), "changed on purpose? python tests/sdk/test_surface.py writes it anew"


def test_every_public_name_is_there_and_sorted() -> None:
    assert all(hasattr(netmill, name) for name in netmill.__all__)
    assert netmill.__all__ == sorted(netmill.__all__)


def test_the_client_needs_nothing_of_the_server() -> None:
    code = (
        "import sys; sys.path.insert(0, 'sdk'); import netmill.cli, netmill; "
        "bad = {'torch', 'fastapi', 'celery', 'sqlalchemy', 'polars', 'numpy', 'core', 'api', 'worker', 'embedded'}; "
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


if __name__ == "__main__":
    SNAPSHOT.write_text(surface())
