"""What the service answers, typed. Fields that a newer service adds are kept and reachable by name."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from netmill.errors import TransportError


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    @classmethod
    def of(cls, answer: Any) -> Self:
        """The answer, typed; raises TransportError for what no Netmill service says."""
        try:
            return cls.model_validate(answer)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "the whole"
            raise TransportError(
                f"the answer is no {cls.__name__} ({where}: {fault['msg']}); "
                "is it a Netmill service, and is this client as new as the service?"
            ) from error


class Progress(Answer):
    """Where a run stands; `eta_s` is seconds to the end, None until a step was timed."""

    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    eta_s: float | None = None
    samples_per_s: float | None = None


class Result(Answer):
    """What a job came to: metrics of the test split by the best checkpoint."""

    best_epoch: int | None = None
    metrics: dict[str, float | None] = Field(default_factory=dict)
    best_checkpoint: str | None = None
    last_checkpoint: str | None = None
    baselines: dict[str, Any] = Field(default_factory=dict)
    folds: dict[str, Any] | None = None


class JobError(Answer):
    """Why a job failed; `pointer` is the field of the spec to change."""

    code: str = "unknown"
    detail: str = ""
    pointer: str | None = None
    hint: str | None = None
    epoch: int | None = None


class Transition(Answer):
    status: str
    time: datetime | None = None


class Warned(Answer):
    """What to look at, with the field to change; `epoch` is None for what was known before the first step."""

    code: str
    pointer: str | None = None
    detail: str = ""
    epoch: int | None = None
    step: int | None = None


class Change(Answer):
    """A change that was asked for while the job lived; pending, applied after `step` steps, or missed."""

    number: int
    status: str
    patch: dict[str, Any] = Field(default_factory=dict)
    time: datetime | None = None
    step: int | None = None
    epoch: int | None = None


class Cohort(Answer):
    """Jobs that train together in one process; `size` counts this one too."""

    size: int


class JobState(Answer):
    """A job as it stood when it was asked for."""

    id: str
    status: str
    terminal: bool
    name: str | None = None
    tags: dict[str, Any] = Field(default_factory=dict)
    parent: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    queue_position: int | None = None
    attempt: int = 0
    transitions: list[Transition] = Field(default_factory=list)
    progress: Progress | None = None
    result: Result | None = None
    error: JobError | None = None
    warnings: list[Warned] = Field(default_factory=list)
    resume_exact: bool | None = None
    resume_note: str | None = None
    cohort: Cohort | None = None
    spec: dict[str, Any] = Field(default_factory=dict)
    changes: list[Change] = Field(default_factory=list)


class Event(Answer):
    """One thing that happened to a job; `type` is status, metrics, checkpoint, warning, log or change."""

    seq: int
    type: str
    time: datetime | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class Checkpoint(Answer):
    """A checkpoint; `sha256` and `bytes` are those of its safetensors file."""

    id: str
    epoch: int | None = None
    step: int | None = None
    sha256: str | None = None
    bytes: int | None = None
    is_best: bool = False
    is_last: bool = False


class AnalysisError(Answer):
    """Why there is no answer."""

    code: str = "unknown"
    detail: str = ""
    hint: str | None = None


class AnalysisState(Answer):
    """An analysis of a checkpoint, or an experiment of the lab (`job` is None), as it stood when it was asked for."""

    id: str
    type: str
    status: str
    links: dict[str, str]
    job: str | None = None
    checkpoint: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    request: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] | None = None
    error: AnalysisError | None = None


class Dataset(Answer):
    """A data set; a table has `columns`, an .npz has `arrays`."""

    id: str
    name: str | None = None
    rows: int | None = None
    kind: str | None = None
    columns: list[dict[str, Any]] = Field(default_factory=list)
    arrays: list[dict[str, Any]] = Field(default_factory=list)
    bytes: int | None = None
    sha256: str | None = None
    builtin: bool = False
    notes: list[str] = Field(default_factory=list)


class PlannedLayer(Answer):
    index: int
    type: str
    output_shape: list[int] = Field(default_factory=list)
    parameters: int = 0
    children: list[PlannedLayer] = Field(default_factory=list)


class Plan(Answer):
    """What a spec would train: `spec` is it with every default, `memory_bytes` and `time_estimate_s` are estimates."""

    spec: dict[str, Any]
    layers: list[PlannedLayer] = Field(default_factory=list)
    parameters: int = 0
    flops_per_sample: float | None = None
    memory_bytes: int | None = None
    time_estimate_s: float | None = None
    warnings: list[Warned] = Field(default_factory=list)


class Prediction(Answer):
    """Answers of a model, one entry of `data` a row; probabilities stand in the order of `classes`."""

    checkpoint: str | None = None
    output: str
    classes: list[Any] | None = None
    data: list[Any]
