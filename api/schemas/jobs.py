"""A job, as the API shows it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.common import Answer, Time
from core.services.job_view import JobView
from core.services.pages import Page
from core.states import Status


class Transition(Answer):
    """A status and since when."""

    status: Status
    time: Time


class JobWarning(Answer):
    """What its user should look at, with the field to change."""

    code: str = Field(examples=["vanishing_gradients"])
    pointer: str | None = Field(description="JSON pointer into the spec")
    detail: str = Field(description="what was seen, what it means, what to do")
    epoch: int | None = Field(description="when it was first seen; null: before the first step")
    step: int | None


class JobLinks(Answer):
    """Where the rest of a job is."""

    self_: str = Field(serialization_alias="self")
    metrics: str
    events: str
    checkpoints: str
    plot: str
    layers: str
    predict: str
    export: str

    @classmethod
    def of(cls, job_id: str) -> Self:
        base = f"/v1/jobs/{job_id}"
        rest = {name: f"{base}/{name}" for name in ("metrics", "events", "checkpoints", "predict", "export")}
        return cls(self_=base, plot=f"{base}/plot.svg", layers=f"{base}/layers.svg", **rest)


class JobChange(Answer):
    """A change that was asked for while the job lived."""

    number: int
    time: Time
    patch: dict[str, Any] = Field(description="JSON merge patch of the spec, as it was sent")
    status: Literal["pending", "applied", "missed"] = Field(
        description="pending until the run makes it at its next step; missed when the job ended before"
    )
    step: int | None = Field(description="optimizer steps done when it was made")
    epoch: int | None = Field(description="epochs completed by then")


class Cohort(Answer):
    """Jobs that train together in one process; what a job comes to does not depend on who rides with it."""

    size: int = Field(description="jobs that its last attempt began with, itself among them", ge=2)


class Job(Answer):
    """A training job: what was asked for, where it stands, what came of it."""

    id: str = Field(examples=["job_0193a5f0c0de7000b000000000000000"])
    name: str | None
    tags: dict[str, Any]
    status: Status
    terminal: bool = Field(description="succeeded, failed or cancelled")
    parent: str | None = Field(description="the job that this one was cloned from")
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    queue_position: int | None = Field(
        description="place among the queued jobs, 1 the next to run; null when not queued"
    )
    attempt: int = Field(description="times that a worker took it up")
    transitions: list[Transition]
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    warnings: list[JobWarning] = Field(description="of the plan, the data and the run, in the order they were given")
    resume_exact: bool | None = Field(description="whether the last resume was bit for bit")
    resume_note: str | None
    cohort: Cohort | None = Field(description="the jobs that it trains together with, or did last; null: alone")
    spec: dict[str, Any] = Field(description="resolved, every default written out")
    changes: list[JobChange]
    links: JobLinks

    @classmethod
    def of(cls, view: JobView) -> Self:
        told = {name: getattr(view, name) for name in cls.model_fields.keys() - {"links", "result"}}
        return cls.model_validate({**told, "result": result_of(view), "links": JobLinks.of(view.id)})


def result_of(view: JobView) -> dict[str, Any] | None:
    """The result; of a job that has none but has kept work (running, paused, cancelled), where that work is."""
    if view.result is not None or view.last_checkpoint is None:
        return view.result
    kept = {"best_checkpoint": view.best_checkpoint, "last_checkpoint": view.last_checkpoint}
    return {"best_epoch": None, "metrics": {}, **kept, "baselines": {}}


class JobPage(Answer):
    """Jobs, newest first."""

    data: list[Job]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page[JobView]) -> Self:
        return cls(data=[Job.of(view) for view in page.data], next_cursor=page.next_cursor)


class Continue(BaseModel):
    """How much further a finished job shall train."""

    model_config = ConfigDict(extra="forbid")

    epochs: int = Field(strict=True, ge=1, le=1_000_000, description="epochs to add", examples=[10])
