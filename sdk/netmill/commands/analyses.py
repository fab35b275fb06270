"""Commands about analyses of checkpoints and experiments of the lab."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from netmill.analysis import Analysis
from netmill.commands.shared import JobId, Session, command, read_json

Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Picture (.svg, .png) or data (.json) to write; else data are printed."),
]
Timeout = Annotated[float | None, typer.Option("--timeout", min=0, help="Seconds to wait for it at most.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    for name, function in (("analyse", analyse), ("lab", lab)):
        command(app, name)(function)


def analyse(
    session: Session,
    job_id: JobId,
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="confusion, roc, loss_landscape, latent, graph, …")],
    *,
    checkpoint: Annotated[str, typer.Option(help="best, last or an id.")] = "best",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A field of the type, such as split=train.")
    ] = None,
    out: Out = None,
    timeout: Timeout = None,
) -> None:
    """Analyse a checkpoint, and write a picture of it: netmill analyse ID roc -o roc.svg."""
    fields = dict(_field(text) for text in set_ or [])
    _check_suffix(out)
    job = session.client.job(job_id)
    _show(session, job.analyse(type_, checkpoint=checkpoint, timeout_s=timeout, **fields), out)


def lab(
    session: Session,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="optimizers, init or activations.")],
    spec: Annotated[str, typer.Argument(metavar="SPEC.json", help="What to compare; - reads standard input.")],
    out: Out = None,
    timeout: Timeout = None,
) -> None:
    """Compare optimizers, first values in many layers, or activations: netmill lab optimizers SPEC.json -o race.svg."""
    calls: dict[str, Callable[..., Analysis]] = {
        "optimizers": session.client.lab_optimizers,
        "init": session.client.lab_init,
        "activations": session.client.lab_activations,
    }
    if kind not in calls:
        raise ValueError(f"received the experiment {kind!r}, expected {', '.join(calls)}")
    _check_suffix(out)
    body = read_json(spec)
    field = "combinations" if kind == "init" else kind
    if not isinstance(body, dict) or not isinstance(body.get(field), list):
        raise ValueError(f'{spec} holds no experiment, expected an object {{"{field}": [...], ...}}')
    entries = body.pop(field)
    _show(session, calls[kind](entries, timeout_s=timeout, **body), out)


def _field(text: str) -> tuple[str, Any]:
    """`split=train` or `points=31`: what reads as JSON is that, all else a text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"received --set {text!r}, expected FIELD=VALUE, such as split=train")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _check_suffix(out: Path | None) -> None:
    if out is not None and out.suffix not in (".svg", ".png", ".json"):
        raise ValueError(f"--out ends in .svg, .png or .json, not {out.suffix or out.name!r}")


def _show(session: Session, analysis: Analysis, out: Path | None) -> None:
    if out is not None and out.suffix == ".json":
        out.write_text(json.dumps(analysis.data, allow_nan=False) + "\n", "utf-8")
    elif out is not None:
        analysis.save(out)
    if session.json:
        session.emit(analysis.state.model_dump(mode="json"))
    elif out is not None:
        session.out.print(str(out), highlight=False, soft_wrap=True)
    else:
        session.emit(analysis.data)
