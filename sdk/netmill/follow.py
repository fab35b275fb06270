"""A job's progress as it happens: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from netmill.models import Warned
from netmill.words import duration, number

if TYPE_CHECKING:
    from netmill.job import Job
    from netmill.models import Event

# a bar that stands still longer than this looks dead
HOLD_S = 1.0
# without a terminal: at most one line of progress in this time
LINE_EVERY_S = 2.0


def show(job: Job, console: Console) -> None:
    """Returns when the job is over, having shown how it came there."""
    view: _Bar | _Lines = _Bar(console) if console.is_terminal else _Lines(console)
    after = 0
    epoch = 0
    values: dict[str, Any] = {}
    with view:
        while True:
            over = job.terminal
            for event in job.events(after=after):
                after = event.seq
                if event.type == "metrics":
                    # a row of layers alone says nothing of losses
                    values = _without_layers(event) or values
                    epoch = int(event.data.get("epoch") or epoch)
                elif event.type == "warning":
                    view.warn(event)
            # the events are newer than the job, which was read before them
            view.update(job, max(epoch, job.progress.epoch), values, over=over)
            # events are read once more after the job was seen to be over, so that the last of them are shown
            if over:
                return
            job.refresh(wait_s=HOLD_S)


def _without_layers(event: Event) -> dict[str, Any]:
    values: dict[str, Any] = event.data.get("values") or {}
    return {name: value for name, value in values.items() if not name.startswith("layer.")}


def losses(values: dict[str, Any]) -> str:
    """The most telling of the last metrics: the losses, and one score on unseen rows."""
    parts = [f"{name} {number(values[name])}" for name in ("train.loss", "validation.loss") if name in values]
    scores = ("validation.auc", "validation.accuracy", "validation.r2", "validation.mae")
    parts += [f"{name} {number(values[name])}" for name in scores if name in values][:1]
    return "  ".join(parts)


class _Bar:
    """A live bar."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[status]}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TextColumn("{task.fields[eta]}", style="dim"),
            console=console,
        )
        self._task = self._progress.add_task("", total=None, status="…", losses="", eta="")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def warn(self, event: Event) -> None:
        self._progress.console.print(f"[yellow]{escape(warning(event))}[/yellow]", highlight=False)

    def update(self, job: Job, epoch: int, values: dict[str, Any], *, over: bool) -> None:
        state = job.progress
        eta = "" if over or state.eta_s is None else f"{duration(state.eta_s)} left"
        self._progress.update(
            self._task,
            total=state.epochs or None,
            completed=epoch,
            status=status(job),
            losses=losses(values),
            eta=eta,
            refresh=True,  # what has just been heard is shown now, however soon the next comes
        )


class _Lines:
    """Plain lines, for a log file or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = ("", -1)
        self._next = 0.0

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def warn(self, event: Event) -> None:
        self._line(warning(event))

    def update(self, job: Job, epoch: int, values: dict[str, Any], *, over: bool) -> None:
        state = job.progress
        now = (status(job), epoch)
        early = now[0] == self._shown[0] and time.monotonic() < self._next
        if not over and (early or now == self._shown):
            return
        self._shown = now
        self._next = time.monotonic() + LINE_EVERY_S
        epochs = f"epoch {epoch}/{state.epochs}" if state.epochs else ""
        self._line("  ".join(filter(None, [job.id, now[0], epochs, losses(values)])))

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def status(job: Job) -> str:
    """The job's status, with its place in the queue while it waits."""
    place = job.state.queue_position
    return f"queued (place {place})" if job.status == "queued" and place is not None else job.status


def warning(event: Event) -> str:
    """A warning's event in one line, with the field to change."""
    return told(Warned.of({"code": "", **event.data}))


def told(warned: Warned) -> str:
    """A warning in one line, with the field to change and when it was first seen."""
    where = f" at {warned.pointer}" if warned.pointer else ""
    when = f" (epoch {warned.epoch})" if warned.epoch else ""
    return f"warning {warned.code}{where}{when}: {warned.detail}"
