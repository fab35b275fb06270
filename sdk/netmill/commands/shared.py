"""What every command has: where the service is, `--json`, errors in words, exit codes.

Exit codes: 0 done; 1 the service refused, or the job failed or was cancelled; 2 wrong usage; 3 no service was reached;
130 Ctrl-C.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from netmill.client import Client
from netmill.errors import ApiError, JobFailedError, NetmillError, TransportError
from netmill.retry import RetryPolicy
from netmill.rows import loads

# a person waits: a service that is away is said after a second
IMPATIENT = RetryPolicy(retries=3)
REFUSED, UNREACHABLE, INTERRUPTED = 1, 3, 130

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="NETMILL_URL", help="Where the service is.", show_default="http://127.0.0.1:8000"),
]
Key = Annotated[
    str | None, typer.Option("--key", envvar="NETMILL_KEY", show_envvar=True, help="Key, nm_…; better in NETMILL_KEY.")
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON on standard output.")]

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id, job_….", show_default=False)]


@dataclass
class Session:
    """One call of the command line: a client, and where to write."""

    client: Client
    json: bool
    # results to standard output, all that is said on the way to standard error, so that a pipe gets results alone
    out: Console = field(default_factory=Console)
    err: Console = field(default_factory=lambda: Console(stderr=True))

    def emit(self, answer: Any) -> None:
        """One JSON document on one line."""
        sys.stdout.write(json.dumps(answer, allow_nan=False, default=str) + "\n")
        sys.stdout.flush()

    def say(self, words: str) -> None:
        """A line for people."""
        self.err.print(escape(words), highlight=False, soft_wrap=True)

    def table(self, columns: list[str], rows: list[list[Any]]) -> None:
        """A table for people; ids are never cut, since they are there to be copied."""
        table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
        for column in columns:
            table.add_column(column, no_wrap=column == "id")
        for row in rows:
            table.add_row(*(escape(str(cell)) for cell in row))
        self.out.print(table)


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a function of a Session and its own parameters; `--url`, `--key` and `--json` come by themselves."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)

        @wraps(function)
        def call(*, url: str | None, key: str | None, as_json: bool, **own: Any) -> None:
            try:
                with Client(url, key, retry=IMPATIENT) as client:
                    function(Session(client, as_json), **own)
            except (NetmillError, ValueError, LookupError, OSError) as error:
                raise typer.Exit(_explain(error, as_json=as_json)) from error
            except KeyboardInterrupt:
                raise typer.Exit(INTERRUPTED) from None

        own = list(signature.parameters.values())[1:]
        keyword = inspect.Parameter.KEYWORD_ONLY
        shared: list[tuple[str, Any, Any]] = [("url", Url, None), ("key", Key, None), ("as_json", Json, False)]
        extra = [inspect.Parameter(name, keyword, default=value, annotation=kind) for name, kind, value in shared]
        parameters = [parameter.replace(kind=keyword) for parameter in own] + extra
        call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del call.__wrapped__  # typer would read the bare function's parameters
        app.command(name)(call)
        return function

    return register


def _explain(error: Exception, *, as_json: bool) -> int:
    """Says what went wrong, with every faulty field by its pointer; gives the exit code."""
    if as_json:
        sys.stderr.write(json.dumps({"error": _as_json(error)}, default=str) + "\n")
    else:
        words = _words(error)
        if isinstance(error, ApiError) and error.request_id and error.status >= 500:
            words += f"\n  request id: {error.request_id}"
        console = Console(stderr=True)
        console.print(f"[bold red]error:[/bold red] {escape(words)}", highlight=False, soft_wrap=True)
    return UNREACHABLE if isinstance(error, TransportError) else REFUSED


def _words(error: Exception) -> str:
    """The message; of a file that cannot be used its name and the reason, without the error's number."""
    if isinstance(error, OSError) and error.filename:
        return f"cannot use {error.filename}: {error.strerror}; check the path and its permissions"
    return str(error) or type(error).__name__


def _as_json(error: Exception) -> Mapping[str, Any]:
    if isinstance(error, ApiError):
        return error.problem.body or {"status": error.status, "code": error.code, "detail": error.detail}
    if isinstance(error, JobFailedError):
        return {"code": error.code, "detail": error.detail, "pointer": error.pointer, "hint": error.hint}
    return {"code": "unreachable" if isinstance(error, TransportError) else "usage", "detail": _words(error)}


def read_json(path: str) -> Any:
    """The JSON of a file, `-` for standard input; raises ValueError that says where it is broken."""
    content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    try:
        return loads(content.decode("utf-8-sig"))
    except ValueError as error:  # UnicodeDecodeError is one
        raise ValueError(f"{'standard input' if path == '-' else path} is not JSON: {error}") from error


def read_spec(path: str) -> dict[str, Any]:
    """A job spec from a file."""
    spec = read_json(path)
    if not isinstance(spec, dict):
        raise ValueError(f"{path} holds a JSON {type(spec).__name__}, expected a job spec, which is an object {{...}}")
    return spec
