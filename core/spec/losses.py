"""What training makes small: a closed union by `type`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.spec.base import Fraction, NonNegative, Positive, SpecModel

ClassWeights = Literal["balanced"] | dict[str, NonNegative] | tuple[NonNegative, ...]


class LossBase(SpecModel):
    """What every loss takes."""

    reduction: Literal["mean", "sum"] = Field(
        "mean", description="mean over the batch, or its sum (the step then grows with the batch)"
    )
    label_smoothing: Fraction = Field(
        0.0, description="share of each label spread over all classes, 0 up to 1; classification alone; default 0"
    )
    class_weight: ClassWeights | None = Field(
        None,
        description="weight of each class: balanced (inverse to its share), {class: weight}, or a list in their order",
    )


class AutoLoss(LossBase):
    """bce for two classes, cross_entropy for more, mse otherwise."""

    type: Literal["auto"] = "auto"


class CrossEntropy(LossBase):
    """-log softmax(logits)[class], one output a class, also when there are two."""

    type: Literal["cross_entropy"] = "cross_entropy"


class BCE(LossBase):
    """Binary cross entropy of one logit: -y log s(z) - (1-y) log(1-s(z))."""

    type: Literal["bce"] = "bce"


class Focal(LossBase):
    """Cross entropy times (1-p)^gamma, Lin et al. 2017: easy samples count less."""

    type: Literal["focal"] = "focal"
    gamma: NonNegative = Field(2.0, description="how much easy samples lose weight, from 0 (none); default 2")


class Hinge(LossBase):
    """max(0, 1 - y z) with y = +-1; for more classes Crammer and Singer's margin."""

    type: Literal["hinge"] = "hinge"


class MSE(LossBase):
    """Mean squared error; in classification between probabilities and the one-hot label."""

    type: Literal["mse"] = "mse"


class MAE(LossBase):
    """Mean absolute error."""

    type: Literal["mae"] = "mae"


class Huber(LossBase):
    """e^2/2 up to delta, delta (|e| - delta/2) beyond, Huber 1964."""

    type: Literal["huber"] = "huber"
    delta: Positive = Field(1.0, description="error at which the square becomes a line, above 0; default 1")


class LogCosh(LossBase):
    """log cosh(error): a smooth absolute error."""

    type: Literal["log_cosh"] = "log_cosh"


class Poisson(LossBase):
    """exp(z) - y z: counts whose logarithm is predicted; targets from 0."""

    type: Literal["poisson"] = "poisson"


class Quantile(LossBase):
    """Pinball loss max(q e, (q-1) e), e = y - prediction: predicts the quantile q, Koenker and Bassett 1978."""

    type: Literal["quantile"] = "quantile"
    q: Annotated[float, Field(strict=True, gt=0, lt=1)] = Field(
        0.5, description="the quantile, between 0 and 1; default 0.5 (median)"
    )


Loss = Annotated[
    AutoLoss | CrossEntropy | BCE | Focal | Hinge | MSE | MAE | Huber | LogCosh | Poisson | Quantile,
    Field(discriminator="type"),
]

CLASSIFICATION_LOSSES = frozenset({"cross_entropy", "bce", "focal", "hinge", "mse"})
BINARY_LOSSES = frozenset({"bce"})
REGRESSION_LOSSES = frozenset({"mse", "mae", "huber", "log_cosh", "poisson", "quantile"})
RECONSTRUCTION_LOSSES = frozenset({"mse", "mae", "huber", "log_cosh"})
