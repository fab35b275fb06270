"""An analysis of a checkpoint or an experiment of the lab, as the API shows it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field

from api.schemas.common import Answer, Fault, Time
from core.services.analyses import AnalysisView
from core.services.pages import Page


class AnalysisLinks(Answer):
    """Where it is and where its pictures are."""

    self_: str = Field(serialization_alias="self")
    svg: str
    png: str

    @classmethod
    def of(cls, view: AnalysisView) -> Self:
        base = f"/v1/jobs/{view.job_id}/analyses/{view.id}" if view.job_id else f"/v1/lab/{view.id}"
        return cls(self_=base, svg=f"{base}.svg", png=f"{base}.png")


class AnalysisError(Answer):
    """Why there is no answer."""

    code: str
    detail: str
    hint: str | None
    errors: list[Fault] = Field(description="faults of the request that showed while it was computed")


class Analysis(Answer):
    """What was asked, how far it is, and what came of it."""

    id: str = Field(examples=["ana_0193a5f0c0de7000b000000000000000"])
    type: str = Field(description="confusion, roc, ...; of the lab: optimizers, init")
    job: str | None = Field(description="whose checkpoint was analysed; null: an experiment of the lab")
    checkpoint: str | None = Field(description="which; it may be gone by now")
    status: Literal["queued", "running", "succeeded", "failed"]
    created_at: Time
    finished_at: Time | None
    request: dict[str, Any] = Field(description="what was asked, every default written out")
    data: dict[str, Any] | None = Field(description="the answer, what the picture is drawn from; null in lists")
    error: AnalysisError | None
    links: AnalysisLinks

    @classmethod
    def of(cls, view: AnalysisView, data: dict[str, Any] | None = None) -> Self:
        same = {
            name: getattr(view, name)
            for name in ("id", "type", "status", "created_at", "finished_at", "request", "error")
        }
        rest = {"job": view.job_id, "checkpoint": view.checkpoint_id, "data": data, "links": AnalysisLinks.of(view)}
        return cls.model_validate({**same, **rest})


class AnalysisPage(Answer):
    """Analyses of a job, newest first, without their data."""

    data: list[Analysis]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page[AnalysisView]) -> Self:
        return cls(data=[Analysis.of(view) for view in page.data], next_cursor=page.next_cursor)
