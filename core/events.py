"""What a run reports. The engine yields these; the runner writes each as one JSON line; the
supervisor reads them back and records them. Tensors never travel in an event: a checkpoint names files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NewType

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Started:
    """First event of a run: what it runs on and whether a resume is bit for bit."""

    steps_per_epoch: int
    total_steps: int
    resume_exact: bool
    resume_note: str | None
    environment: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the run stands; sent a few times a second at most. `eta_s` is None until a step was timed."""

    epoch: int
    epochs: int
    step: int
    steps: int
    eta_s: float | None
    samples_per_s: float | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """One row of the history. A non-finite number is None in `values` and named in `non_finite`."""

    epoch: int
    step: int
    values: Mapping[str, float | None]
    non_finite: tuple[str, ...] = ()
    # Unix time, by the runner's clock
    time: float = 0.0
    # 0 to k - 1 in a run of k folds; its epochs count from 1 in each, its steps go on
    fold: int | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Two files beside each other: the model that leaves the house, and all else that a resume needs."""

    epoch: int
    step: int
    content_path: str
    content_sha256: str
    state_path: str
    state_sha256: str
    is_best: bool
    # the quantity that "best" is judged by, and its value here (None mid-epoch or when not finite)
    monitor: str | None
    monitor_value: float | None
    # True at the end of an epoch, False for one taken in the middle (stop, or every so many seconds)
    end_of_epoch: bool = True


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should look at, with the field to change."""

    code: str
    pointer: str | None
    detail: str
    epoch: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """A live change is in force from the optimizer step with index `step` on; told before anything that it moves."""

    number: int
    step: int
    # epochs completed by then
    epoch: int
    # the new values as they were taken: epochs that are over already cannot be taken back
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Log:
    message: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over: all epochs done, or early stopping; metrics are those of the best checkpoint."""

    best_epoch: int | None
    best_step: int | None
    metrics: dict[str, float | None]
    non_finite: tuple[str, ...] = ()
    early_stopped: bool = False
    baselines: dict[str, Any] = field(default_factory=dict)
    # of a run in folds, whose `metrics` are means: count, best, and for each metric mean, std and values
    folds: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run was asked to stop and did; the checkpoint before this event holds all of it."""

    reason: str
    epoch: int
    step: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The run cannot go on, and why, in words for the user; `code` as in `errors.TrainingFailed`."""

    code: str
    detail: str
    hint: str | None = None
    pointer: str | None = None
    epoch: int | None = None


LAST = (Finished, Stopped, Failed)
"""Kinds of a run's last event."""

Event = Started | Progress | Metrics | Checkpoint | Warned | Changed | Log | Finished | Stopped | Failed

_KINDS: dict[str, type[Any]] = {
    "started": Started,
    "progress": Progress,
    "metrics": Metrics,
    "checkpoint": Checkpoint,
    "warning": Warned,
    "change": Changed,
    "log": Log,
    "finished": Finished,
    "stopped": Stopped,
    "failed": Failed,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


MetricsLine = NewType("MetricsLine", str)
"""A row of the history as the line that tells it, which it stays until it is stored: rows come by the hundred thousand,
and nobody between the runner and the database needs to know their numbers. A mere str, which the collector passes by.
"""
Told = Event | MetricsLine
"""An event as it comes out of the pipe."""

# within a string the quotation marks would be escaped
_MARK = '","event":"metrics",'
_ROW = re.compile(
    r'\{"job":"[^"\\]*","event":"metrics","epoch":(\d+),"step":(\d+),"non_finite":(\[(?:"(?:[^"\\]|\\.)*",?)*\]),'
    r'"time":([\d.e+-]+),"fold":(null|\d+),"values":(\{.*\})\}'
).fullmatch


def row_parts(line: MetricsLine) -> tuple[str, str, str, str, str, str]:
    """Epoch, step, names of what is not finite, time, fold and values, each as its JSON text.

    A line that `to_line` has not written raises ValueError.
    """
    found = _ROW(line)
    if found is None:
        raise ValueError(f"received {line[:200]!r}, expected a row of the history as a runner tells it")
    return found.groups()  # type: ignore[return-value]  # so many groups has the pattern


def row_of(line: MetricsLine) -> Metrics:
    """The row that the line tells; ValueError as `row_parts`."""
    epoch, step, non_finite, time, fold, values = map(json.loads, row_parts(line))
    return Metrics(epoch, step, values, tuple(non_finite), time, fold)


def to_line(job_id: str, event: Event) -> str:
    """One JSON line (no newline inside) that names the job and carries the event; ValueError for NaN and Infinity."""
    body: dict[str, Any] = {"job": job_id, "event": _NAMES[type(event)]}
    if isinstance(event, Metrics):
        # in this order, by which it is taken apart
        body |= {"epoch": event.epoch, "step": event.step, "non_finite": event.non_finite}
        return _encode({**body, "time": event.time, "fold": event.fold, "values": event.values})
    return _encode(body | {name: getattr(event, name) for name in event.__slots__})


def from_line(line: str | bytes) -> tuple[str, Told]:
    """The job's id and the event of one line; a line that is not one raises ValueError."""
    text = line.decode() if isinstance(line, bytes) else line
    # the name of a job is short
    end = text.find(_MARK, 0, 100)
    if end > 0:
        return text[len('{"job":"') : end], MetricsLine(text)
    body = json.loads(text)
    job_id, name = body.pop("job"), body.pop("event")
    if name not in _KINDS:
        raise ValueError(f"unknown event {name!r}")
    if "non_finite" in body:
        body["non_finite"] = tuple(body["non_finite"])
    event: Event = _KINDS[name](**body)
    return job_id, event
