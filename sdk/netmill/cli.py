"""The command line `netmill`."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated

import typer
from rich.console import Console

from netmill.commands import analyses, data, jobs
from netmill.version import __version__

# packages of the server register their commands here; `up` is the one that everybody looks for
SERVER_GROUP = "netmill.server"
MISSING_SERVER = """\
netmill up runs the whole service and needs the server, which is not installed here (this is the client alone).
Clone Netmill's repository and run `make setup` in it, then use its .venv/bin/netmill;
or point this client at a service that runs elsewhere: NETMILL_URL=http://host:8000 netmill jobs"""


def build() -> typer.Typer:
    """The app with all commands, those of the server too when it is installed."""
    app = typer.Typer(
        name="netmill",
        help="Training as a service: submit a network as JSON, follow it, take the model away.",
        no_args_is_help=True,
        pretty_exceptions_show_locals=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    jobs.register(app)
    data.register(app)
    analyses.register(app)
    server = {entry.name: entry for entry in entry_points(group=SERVER_GROUP)}
    for name, entry in server.items():
        _add(app, name, entry)
    if "up" not in server:
        _add_missing(app)
    return app


def main() -> None:
    """Entry point of the console script."""
    build()()


def _version(asked: bool) -> None:
    if asked:
        Console().print(f"netmill {__version__}", highlight=False)
        raise typer.Exit


def _root(
    url: Annotated[str | None, typer.Option("--url", help="Where the service is; every command takes it too.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Key, nm_…; better in NETMILL_KEY.")] = None,
    version: Annotated[  # noqa: ARG001  # its callback has answered already
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Say the version and leave.")
    ] = False,
) -> None:
    """Training as a service: submit a network as JSON, follow it, take the model away.

    NETMILL_URL and NETMILL_KEY say where the service is and who asks; every command has --json.
    """
    # the commands' own options read these, so that one given to the command itself wins
    for name, value in (("NETMILL_URL", url), ("NETMILL_KEY", key)):
        if value:
            os.environ[name] = value


def _add(app: typer.Typer, name: str, entry: EntryPoint) -> None:
    try:
        app.command(name, rich_help_panel="Server")(entry.load())
    except ImportError:  # registered, but a part of it is not installed
        if name == "up":
            _add_missing(app)


def _add_missing(app: typer.Typer) -> None:
    @app.command(
        "up",
        rich_help_panel="Server",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )
    def up() -> None:
        """Run the whole service here (the server is not installed)."""
        Console(stderr=True).print(MISSING_SERVER, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
