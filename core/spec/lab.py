"""Experiments of the lab: optimizers side by side on one surface or one network, and first values through many layers.

They need no job. One class an experiment; `core.spec.lab_request` reads them, `core.engine.lab` carries them out.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from core.spec.activations import ActivationLayer
from core.spec.base import Bool, Count, Float, NonNegative, Seed, SpecModel, check_range
from core.spec.data import DataSpec
from core.spec.inits import Init
from core.spec.losses import AutoLoss, Loss
from core.spec.network import Network
from core.spec.optimizers import Muon, Optimizer
from core.spec.schedules import ConstantSchedule, PlateauSchedule, Schedule
from core.spec.surfaces import SurfaceName

Name = Annotated[str, Field(min_length=1, max_length=40)]
Coordinate = Annotated[float, Field(strict=True, ge=-1000, le=1000)]

MOST_POINTS = 40_000
"""Steps of all optimizers together: what one answer can hold and one picture can show."""
MOST_MULTIPLICATIONS = 4 * 10**12
"""Of one experiment with first values: about a minute of one core."""
MOST_VALUES = 30_000_000
"""Activations of one combination, which are all kept for the way back."""


class Entrant(SpecModel):
    """One optimizer of a comparison, with its schedule."""

    optimizer: Optimizer = Field(description="how weights move")
    schedule: Schedule = Field(
        default_factory=ConstantSchedule,
        description="learning rate over the steps; on a surface an epoch is one step; default constant",
    )
    name: Name | None = Field(None, description="what the picture calls it; null: type, lr and what is unusual")

    @model_validator(mode="after")
    def _no_plateau(self) -> Entrant:
        if isinstance(self.schedule, PlateauSchedule):
            raise PydanticCustomError(
                "no_validation",
                "received plateau, expected a schedule that follows from the step: nothing is validated here; do take "
                "cosine or step",
                {"field": "schedule"},
            )
        return self


class RaceBase(SpecModel):
    """What both comparisons of optimizers take."""

    optimizers: Annotated[tuple[Entrant, ...], Field(min_length=1, max_length=12)] = Field(
        description="optimizers that run from the same start, 1 to 12"
    )
    steps: Annotated[Count, Field(le=10_000)] = Field(200, description="steps of each, 1 to 10000; default 200")
    seed: Seed = Field(0, description="seed of whatever is random, an integer from 0; default 0")

    @model_validator(mode="after")
    def _not_too_long(self) -> RaceBase:
        if self.steps * len(self.optimizers) > MOST_POINTS:
            raise PydanticCustomError(
                "too_many_points",
                "received {steps} steps of {count} optimizers, expected at most {most} in all; do lower steps",
                {"steps": self.steps, "count": len(self.optimizers), "most": MOST_POINTS, "field": "steps"},
            )
        return self


class SurfaceRace(RaceBase):
    """Optimizers on a surface over the plane."""

    surface: SurfaceName = Field("rosenbrock", description="what they go down; default rosenbrock")
    start: tuple[Coordinate, Coordinate] | None = Field(
        None, description="where all begin, [x, y] each from -1000 to 1000; null: the surface's own start"
    )
    noise: NonNegative = Field(
        0.0, description="deviation of normal noise on each gradient, the same for all, as batches have; default 0"
    )

    @model_validator(mode="after")
    def _no_matrices(self) -> SurfaceRace:
        for index, entrant in enumerate(self.optimizers):
            if isinstance(entrant.optimizer, Muon):
                raise PydanticCustomError(
                    "no_matrices",
                    "received muon for optimizer {index}, expected one that moves single numbers: it makes matrices "
                    "orthogonal and a point has none; do take adamw, or give a network",
                    {"index": index, "field": "optimizers"},
                )
        return self


class NetworkRace(RaceBase):
    """Optimizers on the loss of one network: same first values, same batches, same dropout for all."""

    network: Network = Field(description="layers or a family, as in a job")
    data: DataSpec = Field(description="rows and columns, as in a job")
    task: Literal["auto", "classification", "regression", "reconstruction"] = Field(
        "auto", description="as in a job; default auto"
    )
    loss: Loss = Field(default_factory=AutoLoss, description="what is made small, as in a job; default auto")
    batch_size: Annotated[Count, Field(le=100_000)] | Literal["full"] = Field(
        32, description="rows of a step, or full; default 32"
    )
    plane: Bool = Field(
        True, description="whether the paths are drawn on the plane of their two principal components; default true"
    )


class Combination(SpecModel):
    """An activation and first values to send a batch through."""

    activation: Annotated[ActivationLayer, Field(discriminator="type")] | None = Field(
        description="after each linear layer; null: none, a linear stack"
    )
    init: Init = Field(description="first values of every weight; biases are zero")
    name: Name | None = Field(None, description="what the picture calls it; null: activation and init")


class InitLab(SpecModel):
    """What becomes of activations and gradients on their way through many layers, before any training."""

    combinations: Annotated[tuple[Combination, ...], Field(min_length=1, max_length=12)] = Field(
        description="activations with inits, 1 to 12"
    )
    depth: Annotated[Count, Field(le=100)] = Field(50, description="layers, 1 to 100; default 50")
    width: Annotated[Count, Field(le=1024)] = Field(128, description="units of each layer, 1 to 1024; default 128")
    batch: Annotated[Count, Field(le=4096)] = Field(
        256, description="rows of normal noise of mean 0 and deviation 1 sent through, 1 to 4096; default 256"
    )
    scale: Annotated[Float, Field(gt=0, le=1000)] = Field(
        1.0, description="deviation of the rows, above 0 up to 1000; default 1"
    )
    seed: Seed = Field(0, description="seed of rows and first values, an integer from 0; default 0")

    @model_validator(mode="after")
    def _not_too_much(self) -> InitLab:
        count = 3 * len(self.combinations) * self.depth * self.width**2 * self.batch
        if count > MOST_MULTIPLICATIONS:
            raise PydanticCustomError(
                "too_much",
                "received {count} multiplications, expected at most {most}; do lower width or batch",
                {"count": f"{count:.2g}", "most": f"{MOST_MULTIPLICATIONS:.2g}", "field": "width"},
            )
        if (values := self.depth * self.width * self.batch) > MOST_VALUES:
            raise PydanticCustomError(
                "too_much",
                "received {count} values in all layers, expected at most {most}; do lower batch",
                {"count": values, "most": MOST_VALUES, "field": "batch"},
            )
        return self


class ActivationLab(SpecModel):
    """Activations and their derivatives over a range of z."""

    activations: Annotated[
        tuple[Annotated[ActivationLayer, Field(discriminator="type")], ...], Field(min_length=1, max_length=12)
    ] = Field(description="activations to look at, 1 to 12")
    low: Coordinate = Field(-6.0, description="least z, -1000 to 1000; default -6")
    high: Coordinate = Field(6.0, description="greatest z, above low, up to 1000; default 6")
    points: Annotated[Count, Field(ge=2, le=2001)] = Field(
        241, description="points from low to high, both included, 2 to 2001; default 241"
    )

    @model_validator(mode="after")
    def _ordered(self) -> ActivationLab:
        check_range(self, "low", "high")
        return self


EXPERIMENTS = ("optimizers", "init", "activations")
"""What `POST /v1/lab/...` carries out; the engine's table has the same keys."""
