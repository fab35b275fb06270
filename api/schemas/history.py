"""Pages of a job's metrics and events."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.schemas.common import Answer, Time


class MetricRow(Answer):
    """One row of the history."""

    seq: int
    epoch: int
    step: int
    time: Time
    values: dict[str, float | None] = Field(examples=[{"train.loss": 0.31, "validation.accuracy": 0.94, "lr": 0.001}])
    non_finite: list[str] = Field(default=[], description="names whose value is null because it was not finite")
    fold: int | None = Field(
        default=None, description="0 to k - 1 of a job in folds: epochs count from 1 in each, steps go on; else null"
    )


class MetricPage(Answer):
    """Rows after `after`; give `next_after` to get what follows."""

    data: list[MetricRow]
    next_after: int
    terminal: bool


class Event(Answer):
    """One thing that happened to a job."""

    seq: int
    type: Literal["status", "metrics", "checkpoint", "warning", "log", "change"]
    time: Time
    data: dict[str, Any]


class EventPage(Answer):
    """Events after `after`, in order, without holes."""

    data: list[Event]
    next_after: int
    terminal: bool
