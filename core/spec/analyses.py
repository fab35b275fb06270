"""Analyses of a checkpoint that a user may ask for: one class a type, one closed union, one table.

`needs_data` and `needs_trajectory` say what must be at hand beside the checkpoint's content.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from core.spec.base import Bool, ColumnName, Positive, Seed, SpecModel
from core.spec.dataset import Category
from core.spec.metrics import CALIBRATION_BINS, Metric

SplitName = Literal["train", "validation", "test"]
HistogramOf = Literal["weights", "biases", "gradients", "activations"]

_SPLIT = "rows of which part; a part that is empty gives way to the next of test, validation, train; default {}"
_MOST_PASSES = 20_000_000
"""Rows that one landscape may send through the network, all its points together."""


class AnalysisBase(SpecModel):
    """What every analysis takes."""

    needs_data: ClassVar[bool] = True

    checkpoint: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        "best", description="best, last, or the id of a checkpoint of the job; default best"
    )

    @property
    def needs_trajectory(self) -> bool:
        """Whether the contents of all kept checkpoints are read, in the order of their steps."""
        return False


class _OfRows(AnalysisBase):
    split: SplitName = Field("test", description=_SPLIT.format("test"))
    seed: Seed = Field(0, description="seed of every random choice, an integer from 0; default 0")


class Confusion(_OfRows):
    """Which class is called which: event weight of every pair of true and called class, and its rate."""

    type: Literal["confusion"] = "confusion"
    normalize: Literal["true", "predicted", "all", "none"] = Field(
        "true", description="rates and picture: share of the true class, of the called class, of all, or none (weights)"
    )
    classes: Annotated[int, Field(strict=True, ge=2, le=100)] = Field(
        30, description="classes shown, the heaviest ones; the others are added up as one; 2 to 100, default 30"
    )


class Roc(_OfRows):
    """True against false positive rate at every threshold, weighted; more than two classes: each against the rest."""

    type: Literal["roc"] = "roc"
    axes: Literal["roc", "rejection", "inverse"] = Field(
        "roc",
        description="picture: true over false positive rate; rejection: background rejection (1 - false positive rate) "
        "over signal efficiency; inverse: 1/false positive rate over signal efficiency, logarithmic",
    )
    positive: Category | None = Field(
        None, description="class that counts as signal, against all others; null: the second of two, else each in turn"
    )
    points: Annotated[int, Field(strict=True, ge=10, le=2000)] = Field(
        300, description="points of a curve at most; the area is that of the full curve; 10 to 2000, default 300"
    )


class Calibration(_OfRows):
    """Reliability diagram: how often a class is right that is called with probability p; Guo et al. 2017."""

    type: Literal["calibration"] = "calibration"
    bins: Annotated[int, Field(strict=True, ge=2, le=100)] = Field(
        CALIBRATION_BINS, description=f"bins of the probability, 2 to 100; default {CALIBRATION_BINS}, as the metric"
    )
    strategy: Literal["uniform", "quantile"] = Field(
        "uniform", description="bins of equal width, or of equally many rows; default uniform"
    )
    positive: Category | None = Field(
        None,
        description="class whose probability is looked at; null: the second of two, else that of the called class",
    )


class LossLandscape(_OfRows):
    """The loss around the checkpoint along one or two directions, in evaluation mode; Li et al. 2018."""

    type: Literal["loss_landscape"] = "loss_landscape"
    split: SplitName = Field("train", description=_SPLIT.format("train"))
    directions: Literal["random", "trajectory"] = Field(
        "random",
        description="random: drawn and normalised filter by filter; trajectory: the two principal components of the "
        "kept checkpoints (ask for several with checkpoints.keep_last), with the path drawn",
    )
    dimensions: Annotated[int, Field(strict=True, ge=1, le=2)] = Field(
        2, description="1: a curve, 2: a surface; default 2"
    )
    points: Annotated[int, Field(strict=True, ge=5, le=101)] = Field(
        21, description="points of each axis, odd so that the checkpoint is one of them; 5 to 101, default 21"
    )
    span: Positive | None = Field(
        None,
        description="how far each way: in lengths of the filters (random, default 1), or as a multiple of the path's "
        "extent (trajectory, default 1.3)",
    )
    rows: Annotated[int, Field(strict=True, ge=1, le=50_000)] | None = Field(
        None,
        description="rows that the loss is taken over, a random sample, 1 to 50000; null: 1000, fewer where the "
        "network is large",
    )

    @property
    def needs_trajectory(self) -> bool:
        return self.directions == "trajectory"

    @model_validator(mode="after")
    def _agree(self) -> LossLandscape:
        if self.points % 2 == 0:
            raise PydanticCustomError(
                "even_points",
                "received points {points}, expected an odd number so that the checkpoint is a point; do take {next}",
                {"points": self.points, "next": self.points + 1, "field": "points"},
            )
        passes = self.points**self.dimensions * (self.rows or 1)
        if passes > _MOST_PASSES:
            raise PydanticCustomError(
                "too_many_points",
                "received {count} points of {rows} rows each, expected at most {most} rows in all; do lower rows",
                {"count": self.points**self.dimensions, "rows": self.rows, "most": _MOST_PASSES, "field": "rows"},
            )
        return self


class DecisionBoundary(_OfRows):
    """What the network answers over a plane of the inputs (one feature: over a line), with the data's points."""

    type: Literal["decision_boundary"] = "decision_boundary"
    features: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=2)] | None = Field(
        None, description="one or two features that vary; null: all of one or two, else the first two that vary"
    )
    plane: Literal["auto", "features", "principal"] = Field(
        "auto",
        description="plane of two features, or of the first two principal components of the rows; auto: features, and "
        "principal where inputs are images, sequences or rows normalised each for itself",
    )
    others: Literal["median", "mean"] = Field(
        "median", description="value of the features that do not vary, of the part's rows; default median"
    )
    points: Annotated[int, Field(strict=True, ge=10, le=200)] = Field(
        100, description="points of each axis, 10 to 200; default 100"
    )
    margin: Annotated[float, Field(strict=True, ge=0, le=10)] = Field(
        0.1, description="how far the plane goes beyond the rows, as a share of their extent; 0 to 10, default 0.1"
    )
    rows: Annotated[int, Field(strict=True, ge=1, le=5000)] = Field(
        500, description="rows shown as points, a random sample; 1 to 5000, default 500"
    )

    @model_validator(mode="after")
    def _agree(self) -> DecisionBoundary:
        if self.plane == "principal" and self.features is not None:
            raise PydanticCustomError(
                "conflicting_plane",
                "received features and the plane of principal components, expected one of them; do set features to "
                "null",
                {"field": "features"},
            )
        return self


class Latent(_OfRows):
    """Where rows lie in a hidden layer: its values, or their first two principal components."""

    type: Literal["latent"] = "latent"
    layer: Annotated[int, Field(strict=True, ge=0)] | None = Field(
        None,
        description="index of the layer whose outputs are taken, as the plan counts; null: the encoding, without one "
        "the narrowest hidden layer of a reconstruction, else the last hidden layer",
    )
    method: Literal["auto", "principal", "first"] = Field(
        "auto", description="auto: as it is when it has two values, else principal components; first: two first values"
    )
    rows: Annotated[int, Field(strict=True, ge=1, le=10_000)] = Field(
        2000, description="rows encoded, a random sample; 1 to 10000, default 2000"
    )
    decode: Bool = Field(
        True, description="whether a grid over an encoding of two values is decoded where inputs are images; true"
    )
    grid: Annotated[int, Field(strict=True, ge=2, le=20)] = Field(
        10, description="decoded images of each axis, 2 to 20; default 10"
    )


class Reconstructions(_OfRows):
    """Inputs beside what the network makes of them, and the histogram of the reconstruction error."""

    type: Literal["reconstructions"] = "reconstructions"
    pick: Literal["auto", "random", "extremes"] = Field(
        "auto", description="rows shown: drawn at random, or the best and the worst; auto: extremes for flat rows"
    )
    examples: Annotated[int, Field(strict=True, ge=1, le=32)] = Field(8, description="rows shown, 1 to 32; default 8")
    bins: Annotated[int, Field(strict=True, ge=5, le=200)] = Field(
        40, description="bins of the error's histogram, 5 to 200; default 40"
    )
    rows: Annotated[int, Field(strict=True, ge=1, le=100_000)] = Field(
        5000, description="rows whose error is taken, a random sample; 1 to 100000, default 5000"
    )


class Features(_OfRows):
    """How much worse a metric becomes when one feature is shuffled among the rows; Breiman 2001."""

    type: Literal["features"] = "features"
    metric: Metric | None = Field(
        None, description="figure that becomes worse; null: auc or accuracy, r2, or the reconstruction's mse"
    )
    repeats: Annotated[int, Field(strict=True, ge=1, le=50)] = Field(
        5, description="shuffles of each feature, 1 to 50; default 5"
    )
    by: Literal["auto", "feature", "channel", "patch", "time"] = Field(
        "auto",
        description="what is shuffled together: a feature; images: a channel or a patch; sequences: a feature or a "
        "block of time; auto: features, and of images with one channel patches",
    )
    patch: Annotated[int, Field(strict=True, ge=1, le=64)] | None = Field(
        None, description="side of a patch in pixels, 1 to 64; null: an eighth of the image's longer side"
    )
    blocks: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        10, description="blocks that the time axis falls into, 1 to 100; default 10"
    )
    rows: Annotated[int, Field(strict=True, ge=1, le=50_000)] | None = Field(
        None,
        description="rows that the metric is taken over, a random sample, 1 to 50000; null: 2000, fewer where the "
        "network is large",
    )


class Filters(AnalysisBase):
    """The weights of one layer: of a dense layer on images as images, of a convolution as its filters."""

    needs_data: ClassVar[bool] = False

    type: Literal["filters"] = "filters"
    layer: Annotated[int, Field(strict=True, ge=0)] | None = Field(
        None, description="index of the layer, as the plan counts; null: the first one with weights"
    )
    most: Annotated[int, Field(strict=True, ge=1, le=256)] = Field(
        64, description="filters shown, 1 to 256; default 64"
    )


class Graph(_OfRows):
    """The computational graph with the value and the gradient of every node and edge, for one row or one batch."""

    type: Literal["graph"] = "graph"
    rows: Annotated[int, Field(strict=True, ge=1, le=256)] = Field(
        1, description="rows of the batch; values are means over it, gradients those of its loss; 1 to 256, default 1"
    )
    detail: Literal["auto", "neurons", "layers"] = Field(
        "auto", description="a node for each value, or for each layer; auto: neurons while at most 200 of them"
    )


class Histograms(_OfRows):
    """How weights, biases, gradients and activations of each layer are spread, on one batch."""

    type: Literal["histograms"] = "histograms"
    of: Annotated[tuple[HistogramOf, ...], Field(min_length=1, max_length=4)] = Field(
        ("weights", "biases", "gradients", "activations"), description="what to show; default all four"
    )
    bins: Annotated[int, Field(strict=True, ge=5, le=200)] = Field(
        40, description="bins of each histogram, 5 to 200; default 40"
    )
    rows: Annotated[int, Field(strict=True, ge=1, le=10_000)] = Field(
        256, description="rows of the batch, a random sample; 1 to 10000, default 256"
    )


AnalysisRequest = Annotated[
    LossLandscape
    | DecisionBoundary
    | Confusion
    | Roc
    | Calibration
    | Latent
    | Reconstructions
    | Features
    | Filters
    | Graph
    | Histograms,
    Field(discriminator="type"),
]

ANALYSES: dict[str, type[AnalysisBase]] = {
    str(model.model_fields["type"].default): model for model in get_args(get_args(AnalysisRequest)[0])
}
"""Every analysis by name; the engine's table and the pictures' have the same keys."""
