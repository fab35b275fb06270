"""What a run reports. The engine yields these; the runner writes each as one JSON line; the
supervisor reads them back and records them. Tensors never travel in an event: a checkpoint names files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().raw_decode


class JsonValues(Mapping[str, float | None]):
    """A row's values as the JSON text that came over the pipe: it is stored as it stands, and read if somebody asks."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __getitem__(self, name: str) -> float | None:
        value: float | None = json.loads(self.text)[name]
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(json.loads(self.text))

    def __len__(self) -> int:
        return len(json.loads(self.text))


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


_VALUES = ',"values":'
_ROW = '"event":"metrics",'


def values_text(event: Metrics) -> str:
    """The values of a row as JSON text; ValueError for a number that is not finite."""
    return event.values.text if isinstance(event.values, JsonValues) else _encode(event.values)


def to_line(job_id: str, event: Event) -> str:
    """One JSON line (no newline inside) that names the job and carries the event; a row's values come last."""
    kind = type(event)
    body = {"job": job_id, "event": _NAMES[kind], **{name: getattr(event, name) for name in kind.__slots__}}
    if isinstance(event, Metrics):
        del body["values"]
        return f"{_encode(body)[:-1]}{_VALUES}{values_text(event)}}}"
    return _encode(body)


def from_line(line: str | bytes) -> tuple[str, Event]:
    """The job's id and the event of one line; a line that is not one raises ValueError."""
    text = line.decode() if isinstance(line, bytes) else line
    # within a string the quotation marks would be escaped, so in a row this is where its values begin and nothing else
    head, mark, values = text.partition(_VALUES)
    is_row = bool(mark) and _ROW in head
    whole = head + "}" if is_row else text.strip()
    body, end = _decode(whole)
    if end != len(whole):
        raise ValueError(f"received {whole[end:]!r} after the event, expected the end of the line")
    job_id, name = body.pop("job"), body.pop("event")
    if name not in _KINDS:
        raise ValueError(f"unknown event {name!r}")
    if is_row:
        body["values"] = JsonValues(values[:-1])
    if "non_finite" in body:
        body["non_finite"] = tuple(body["non_finite"])
    event: Event = _KINDS[name](**body)
    return job_id, event
