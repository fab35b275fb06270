"""A checkpoint."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from api.schemas.common import Answer, Time
from core.services.checkpoints import CheckpointView


class Checkpoint(Answer):
    """The network's weights at one step of a job."""

    id: str = Field(examples=["ckpt_0193a5f0c0de7000b000000000000000"])
    job_id: str
    epoch: int
    step: int
    end_of_epoch: bool
    is_best: bool
    is_last: bool
    monitor: str | None = Field(description="what `best` is judged by")
    monitor_value: float | None
    bytes: int
    sha256: str = Field(description="of the content")
    created_at: Time
    links: dict[str, str]

    @classmethod
    def of(cls, view: CheckpointView) -> Self:
        names = cls.model_fields.keys() - {"links"}
        base = f"/v1/checkpoints/{view.id}"
        links = {"self": base, "content": f"{base}/content", "job": f"/v1/jobs/{view.job_id}"}
        return cls.model_validate({**{name: getattr(view, name) for name in names}, "links": links})


class CheckpointList(Answer):
    """A job's checkpoints, newest step first."""

    data: list[Checkpoint]
    next_cursor: str | None = None
