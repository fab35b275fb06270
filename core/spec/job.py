"""The job spec: everything a user says about one training run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from core.spec.base import SpecModel
from core.spec.baselines import Baseline
from core.spec.data import DataSpec
from core.spec.losses import AutoLoss, Loss
from core.spec.metrics import NamedMetric
from core.spec.network import LayeredNetwork, Network
from core.spec.optimizers import Adam, Optimizer
from core.spec.schedules import ConstantSchedule, Schedule
from core.spec.training import CheckpointsSpec, MonitorSpec, RegularizationSpec, TrainingSpec

Text = Annotated[str, Field(max_length=200)]


def _of_type(default: str) -> BeforeValidator:
    """An object that names no type is of the default one, so that {"lr": 0.1} alone says what it seems to say."""

    def typed(value: Any) -> Any:
        return {"type": default, **value} if isinstance(value, dict) and "type" not in value else value

    return BeforeValidator(typed)


class JobSpec(SpecModel):
    """Only `data.dataset` and `network` are required; all else has a default that `/v1/plan` shows."""

    name: Text | None = Field(None, description="what people call the run; need not be unique")
    tags: dict[Annotated[str, Field(min_length=1, max_length=64)], Text] = Field(
        default_factory=dict, max_length=64, description="words of one's own to find the run by"
    )
    data: DataSpec = Field(description="rows and columns to learn from")
    task: Literal["auto", "classification", "regression", "reconstruction"] = Field(
        "auto",
        description="auto: strings, booleans and integers of at most 50 values are classes, other numbers regression, "
        "no target reconstruction",
    )
    network: Network = Field(description="layers, or a family that expands to layers")
    loss: Annotated[Loss, _of_type("auto")] = Field(
        default_factory=AutoLoss, description="what training makes small; default auto, by the task"
    )
    optimizer: Annotated[Optimizer, _of_type("adam")] = Field(
        default_factory=Adam, description="how weights move; default adam with lr 0.001"
    )
    schedule: Annotated[Schedule, _of_type("constant")] = Field(
        default_factory=ConstantSchedule, description="learning rate over the run"
    )
    regularization: RegularizationSpec = Field(
        default_factory=RegularizationSpec, description="L1 and L2 penalties in the loss"
    )
    training: TrainingSpec = Field(default_factory=TrainingSpec, description="epochs, batches, seed, when to stop")
    metrics: Annotated[tuple[NamedMetric, ...], Field(max_length=50)] | None = Field(
        None, description="figures to report beside those that the task always reports; null: those alone"
    )
    checkpoints: CheckpointsSpec = Field(default_factory=CheckpointsSpec, description="which states are kept")
    monitor: MonitorSpec = Field(default_factory=MonitorSpec, description="what else is recorded")
    baselines: tuple[Baseline, ...] = Field(
        (),
        max_length=10,
        description="classical models to train on the same split and the same inputs, in the same result: linear "
        "(logistic, ridge), tree, random_forest, boosting; naive repeats the last value of a forecast",
    )

    def layered(self) -> LayeredNetwork:
        """The network of a resolved spec, whose family has been expanded."""
        assert isinstance(self.network, LayeredNetwork), "a resolved spec has layers"
        return self.network
