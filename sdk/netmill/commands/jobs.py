"""Commands about jobs."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import typer

from netmill.commands.shared import INTERRUPTED, REFUSED, JobId, Session, command, read_json, read_spec
from netmill.follow import losses, status, told, warning
from netmill.job import Job
from netmill.models import Change, Event, Result
from netmill.words import ago, duration, number

SpecFile = Annotated[str, typer.Argument(metavar="SPEC.json", help="A job spec; - reads standard input.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    for name, function in (
        ("train", train),
        ("jobs", jobs),
        ("job", job),
        ("logs", logs),
        ("cancel", cancel),
        ("pause", pause),
        ("resume", resume),
        ("change", change),
        ("continue", continue_),
        ("clone", clone),
        ("delete", delete),
    ):
        command(app, name)(function)


def train(
    session: Session,
    spec: SpecFile,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show its progress until it is over.")] = False,
) -> None:
    """Submit a job."""
    submitted = session.client.train(read_spec(spec))
    if follow:
        session.say(f"{submitted.id} {status(submitted)}")
        _follow(session, submitted)
        # its warnings were shown as they came
        _show(session, submitted, warnings=False)
        raise typer.Exit(0 if submitted.status == "succeeded" else REFUSED)
    if session.json:
        session.emit(submitted.state.model_dump(mode="json"))
        return
    session.out.print(submitted.id, highlight=False)
    session.say(f"{status(submitted)}; follow it with: netmill logs {submitted.id} --follow")


def jobs(
    session: Session,
    status_: Annotated[str | None, typer.Option("--status", help="queued, running, paused, succeeded, …")] = None,
    tag: Annotated[str | None, typer.Option(help="NAME or NAME=VALUE.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Name or id of a data set.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
) -> None:
    """List jobs, the newest first."""
    found = list(session.client.jobs(status=status_, tag=tag, dataset=dataset, limit=limit))
    if session.json:
        session.emit([one.state.model_dump(mode="json") for one in found])
        return
    rows = [[one.id, one.name or "", status(one), _epochs(one), ago(one.state.created_at)] for one in found]
    session.table(["id", "name", "status", "epoch", "submitted"], rows)


def job(session: Session, job_id: JobId) -> None:
    """Show one job."""
    _show(session, session.client.job(job_id))


def logs(
    session: Session,
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job is over.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Only events after this number.")] = 0,
) -> None:
    """Show what happened to a job, event by event."""
    handle = session.client.job(job_id)
    try:
        for event in handle.events(after=after, follow=follow):
            if session.json:
                session.emit(event.model_dump(mode="json"))
            else:
                session.out.print(_line(event), markup=False, highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        _come_back(session, handle)


def cancel(session: Session, job_id: JobId) -> None:
    """Stop a job for good; its work is kept in a checkpoint."""
    _told(session, session.client.job(job_id).cancel(), "cancel")


def pause(session: Session, job_id: JobId) -> None:
    """Stop a job until it is resumed; nothing is held meanwhile."""
    _told(session, session.client.job(job_id).pause(), "pause")


def resume(session: Session, job_id: JobId) -> None:
    """Let a paused job go on, bit for bit."""
    _told(session, session.client.job(job_id).resume(), "resume")


def change(
    session: Session,
    job_id: JobId,
    *,
    lr: Annotated[float | None, typer.Option(help="Learning rate at the schedule's peak.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs in all, those that are over among them.")] = None,
    patience: Annotated[int | None, typer.Option(min=1, help="Early stopping: epochs without improvement.")] = None,
    no_early_stopping: Annotated[bool, typer.Option("--no-early-stopping", help="Train to the last epoch.")] = False,
) -> None:
    """Change learning rate, epochs or early stopping of a job that is not over."""
    if patience is not None and no_early_stopping:
        raise ValueError("give --patience or --no-early-stopping, one of the two")
    stopping: dict[str, int] | Literal[False] | None = (
        False if no_early_stopping else None if patience is None else {"patience": patience}
    )
    _told(session, session.client.job(job_id).change(lr=lr, epochs=epochs, early_stopping=stopping), "change")


def continue_(
    session: Session, job_id: JobId, epochs: Annotated[int, typer.Option(min=1, help="How many more epochs.")]
) -> None:
    """Train a finished job for more epochs."""
    _told(session, session.client.job(job_id).continue_(epochs), "continue")


def clone(
    session: Session,
    job_id: JobId,
    patch: Annotated[str | None, typer.Option(help="JSON merge patch of the spec, a file or -.")] = None,
) -> None:
    """Submit a job's spec again, changed by a patch."""
    changed = session.client.job(job_id).clone(read_json(patch) if patch else {})
    if session.json:
        session.emit(changed.state.model_dump(mode="json"))
    else:
        session.out.print(changed.id, highlight=False)


def delete(session: Session, job_id: JobId) -> None:
    """Delete a finished job with all that it stored."""
    session.client.job(job_id).delete()
    if session.json:
        session.emit({"id": job_id, "deleted": True})
    else:
        session.say(f"{job_id} deleted")


def _follow(session: Session, handle: Job) -> None:
    try:
        handle.follow(session.err, check=False)
    except KeyboardInterrupt:
        _come_back(session, handle)


def _come_back(session: Session, handle: Job) -> None:
    """Ctrl-C ends the looking, not the job; says so, and how to look again."""
    session.say(
        f"\n{handle.id} goes on. Come back with: netmill logs {handle.id} --follow\n"
        f"Stop it with: netmill cancel {handle.id}"
    )
    raise typer.Exit(INTERRUPTED)


def _told(session: Session, handle: Job, what: str) -> None:
    if session.json:
        session.emit(handle.state.model_dump(mode="json"))
    else:
        session.say(f"{handle.id}: {what} asked for, it is {status(handle)}")


def _show(session: Session, handle: Job, *, warnings: bool = True) -> None:
    """All that matters of a job, as rows of name and value."""
    if session.json:
        session.emit(handle.state.model_dump(mode="json"))
        return
    state = handle.state
    rows: list[list[Any]] = [["id", handle.id], ["name", state.name or "-"], ["status", status(handle)]]
    rows += [["submitted", ago(state.created_at)], ["epoch", _epochs(handle)]]
    if state.started_at and state.finished_at:
        rows.append(["took", duration((state.finished_at - state.started_at).total_seconds())])
    if handle.progress.eta_s is not None and not handle.terminal:
        rows.append(["time left", duration(handle.progress.eta_s)])
    spread = (handle.result.folds or {}).get("metrics", {})
    for name, value in handle.result.metrics.items():
        std = spread.get(name, {}).get("std")
        rows.append([name, number(value) if std is None else f"{number(value)} ± {number(std)}"])
    rows += [["change", _changed(one)] for one in state.changes]
    if state.cohort is not None:
        rows.append(["trained with", f"{state.cohort.size - 1} other jobs, without effect on one another"])
    if state.resume_exact is False:
        rows.append(["resume", f"not exact: {state.resume_note}"])
    if error := handle.error:
        rows.append(["error", f"{error.code}: {error.detail}"])
        rows += [[name, value] for name, value in (("change", error.pointer), ("hint", error.hint)) if value]
    rows += [[name, one] for name, one in (("best", handle.result.best_checkpoint),) if one]
    session.table(["", ""], rows)
    if baselines := handle.result.baselines:
        session.table(["", "network", *baselines], compared(handle.result))
    for warned in handle.warnings if warnings else ():
        session.out.print(told(warned), markup=False, highlight=False, soft_wrap=True)


def compared(result: Result) -> list[list[Any]]:
    """Network and baselines side by side: a row a metric that the network has, then seconds and what went wrong."""
    others = list(result.baselines.values())
    rows: list[list[Any]] = [
        [name, number(value), *(number(other.get("metrics", {}).get(name)) for other in others)]
        for name, value in result.metrics.items()
    ]
    rows.append(["seconds", "", *(number(other.get("time_s")) for other in others)])
    if any("error" in other for other in others):
        rows.append(["error", "", *(other.get("error", {}).get("detail", "") for other in others)])
    return rows


def _epochs(handle: Job) -> str:
    progress = handle.progress
    return f"{progress.epoch}/{progress.epochs}" if progress.epochs else "-"


def _changed(change: Change) -> str:
    """A change in one line."""
    when = f" before step {change.step + 1}" if change.step is not None else ""
    return f"{json.dumps(change.patch)} {change.status}{when}"


def _line(event: Event) -> str:
    """An event in one line."""
    time = f"{event.time.astimezone():%H:%M:%S}" if event.time else "-"
    data = event.data
    if event.type == "metrics":
        text = f"epoch {data.get('epoch')}  {losses(dict(data.get('values') or {}))}"
    elif event.type == "warning":
        text = warning(event)
    elif event.type == "change":
        text = f"{json.dumps(data.get('patch'))}  {data.get('status')}"
        text += f"  step {data['step']}" if data.get("step") is not None else ""
    elif event.type == "log":
        text = str(data.get("message", ""))
    else:
        text = "  ".join(
            f"{name} {number(value)}" for name, value in data.items() if not isinstance(value, dict | list)
        )
    return f"{time}  {event.type:<10}  {text}"
