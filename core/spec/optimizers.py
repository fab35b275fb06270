"""How weights move: a closed union by `type`. Defaults are PyTorch's where it has the optimizer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from core.spec.base import Bool, Count, Fraction, NonNegative, Positive, SpecModel

Betas = tuple[Fraction, Fraction]

_LR = "learning rate at the schedule's peak, above 0"
_DECAY = "L2 penalty added to the gradient, from 0; default 0"
_DECOUPLED = "decay of the weights themselves, apart from the gradient (Loshchilov and Hutter 2019), from 0"
_BETAS = "decay of the running means of g and of g^2, each 0 up to 1"
_EPS = "added to the denominator, above 0"


class SGD(SpecModel):
    """w <- w - lr g, with momentum v <- momentum v + (1 - dampening) g, w <- w - lr v.

    The textbook form is v <- momentum v - lr g, w <- w + v, with nesterov g taken at w + momentum v (Sutskever et al.
    2013); while lr does not change, both take the same steps.
    """

    type: Literal["sgd"] = "sgd"
    lr: Positive = Field(0.01, description=_LR + "; default 0.01")
    momentum: Fraction = Field(0.0, description="share of the last step kept, 0 up to 1; default 0")
    dampening: Fraction = Field(0.0, description="share of the gradient left out of the momentum, 0 up to 1; default 0")
    nesterov: Bool = Field(False, description="gradient looked up ahead of the step (Nesterov 1983); needs momentum")
    form: Literal["torch", "textbook"] = Field(
        "torch", description="torch: lr multiplies the velocity; textbook: lr is within it, so a changed lr acts later"
    )
    weight_decay: NonNegative = Field(0.0, description=_DECAY)

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> SGD:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise PydanticCustomError(
                "nesterov_without_momentum",
                "received nesterov with momentum {momentum} and dampening {dampening}, expected momentum above 0 and "
                "dampening 0; do set momentum to 0.9",
                {"momentum": self.momentum, "dampening": self.dampening, "field": "nesterov"},
            )
        return self


class RMSprop(SpecModel):
    """w <- w - lr g / (sqrt(E[g^2]) + eps), Hinton 2012; some books have eps inside the root."""

    type: Literal["rmsprop"] = "rmsprop"
    lr: Positive = Field(0.01, description=_LR + "; default 0.01")
    alpha: Fraction = Field(0.99, description="decay of the running mean of g^2, 0 up to 1; default 0.99")
    eps: Positive = Field(1e-8, description=_EPS + "; default 1e-8")
    eps_inside_root: Bool = Field(False, description="true: sqrt(E[g^2] + eps) instead of sqrt(E[g^2]) + eps")
    momentum: Fraction = Field(0.0, description="share of the last step kept, 0 up to 1; default 0")
    centered: Bool = Field(False, description="true: divide by the deviation of g instead of its root mean square")
    weight_decay: NonNegative = Field(0.0, description=_DECAY)


class Adam(SpecModel):
    """Momentum and RMSprop with bias correction, Kingma and Ba 2015."""

    type: Literal["adam"] = "adam"
    lr: Positive = Field(0.001, description=_LR + "; default 0.001")
    betas: Betas = Field((0.9, 0.999), description=_BETAS + "; default 0.9, 0.999")
    eps: Positive = Field(1e-8, description=_EPS + "; default 1e-8")
    amsgrad: Bool = Field(False, description="keep the greatest running mean of g^2 (Reddi et al. 2018)")
    weight_decay: NonNegative = Field(0.0, description=_DECAY)


class AdamW(SpecModel):
    """Adam with decoupled weight decay, Loshchilov and Hutter 2019."""

    type: Literal["adamw"] = "adamw"
    lr: Positive = Field(0.001, description=_LR + "; default 0.001")
    betas: Betas = Field((0.9, 0.999), description=_BETAS + "; default 0.9, 0.999")
    eps: Positive = Field(1e-8, description=_EPS + "; default 1e-8")
    amsgrad: Bool = Field(False, description="keep the greatest running mean of g^2 (Reddi et al. 2018)")
    weight_decay: NonNegative = Field(0.01, description=_DECOUPLED + "; default 0.01")


class NAdam(SpecModel):
    """Adam with Nesterov's momentum, Dozat 2016."""

    type: Literal["nadam"] = "nadam"
    lr: Positive = Field(0.002, description=_LR + "; default 0.002")
    betas: Betas = Field((0.9, 0.999), description=_BETAS + "; default 0.9, 0.999")
    eps: Positive = Field(1e-8, description=_EPS + "; default 1e-8")
    momentum_decay: NonNegative = Field(0.004, description="how the momentum warms up, from 0; default 0.004")
    weight_decay: NonNegative = Field(0.0, description=_DECAY)


class RAdam(SpecModel):
    """Adam that waits until its variance is known, Liu et al. 2020."""

    type: Literal["radam"] = "radam"
    lr: Positive = Field(0.001, description=_LR + "; default 0.001")
    betas: Betas = Field((0.9, 0.999), description=_BETAS + "; default 0.9, 0.999")
    eps: Positive = Field(1e-8, description=_EPS + "; default 1e-8")
    weight_decay: NonNegative = Field(0.0, description=_DECAY)


class Adagrad(SpecModel):
    """Steps divided by the root of the sum of all g^2 so far, Duchi et al. 2011."""

    type: Literal["adagrad"] = "adagrad"
    lr: Positive = Field(0.01, description=_LR + "; default 0.01")
    lr_decay: NonNegative = Field(0.0, description="lr is divided by 1 + step * lr_decay, from 0; default 0")
    initial_accumulator: NonNegative = Field(0.0, description="where the sum of g^2 begins, from 0; default 0")
    eps: Positive = Field(1e-10, description=_EPS + "; default 1e-10")
    weight_decay: NonNegative = Field(0.0, description=_DECAY)


class Adadelta(SpecModel):
    """Steps in the unit of the weights themselves, Zeiler 2012."""

    type: Literal["adadelta"] = "adadelta"
    lr: Positive = Field(1.0, description=_LR + "; default 1")
    rho: Fraction = Field(0.9, description="decay of the running means, 0 up to 1; default 0.9")
    eps: Positive = Field(1e-6, description=_EPS + "; default 1e-6")
    weight_decay: NonNegative = Field(0.0, description=_DECAY)


class Adamax(SpecModel):
    """Adam with the greatest gradient in place of the mean square, Kingma and Ba 2015."""

    type: Literal["adamax"] = "adamax"
    lr: Positive = Field(0.002, description=_LR + "; default 0.002")
    betas: Betas = Field((0.9, 0.999), description=_BETAS + "; default 0.9, 0.999")
    eps: Positive = Field(1e-8, description=_EPS + "; default 1e-8")
    weight_decay: NonNegative = Field(0.0, description=_DECAY)


class LBFGS(SpecModel):
    """Quasi-Newton steps from the last gradients, Liu and Nocedal 1989; best with batch_size full."""

    type: Literal["lbfgs"] = "lbfgs"
    lr: Positive = Field(1.0, description=_LR + "; default 1")
    max_iter: Annotated[Count, Field(le=1000)] = Field(
        20, description="iterations within one optimizer step, 1 to 1000; default 20"
    )
    history_size: Annotated[Count, Field(le=1000)] = Field(
        10, description="gradients remembered, 1 to 1000; default 10"
    )
    line_search: Literal["none", "strong_wolfe"] = Field(
        "strong_wolfe", description="how far to go along a direction: strong_wolfe searches, none takes lr"
    )


class Muon(SpecModel):
    """Momentum made orthogonal by Newton-Schulz for weight matrices (Jordan et al. 2024); AdamW for all else."""

    type: Literal["muon"] = "muon"
    lr: Positive = Field(0.02, description=_LR + ", of the matrices; default 0.02")
    momentum: Fraction = Field(0.95, description="share of the last step kept, 0 up to 1; default 0.95")
    nesterov: Bool = Field(True, description="gradient looked up ahead of the step")
    ns_steps: Annotated[Count, Field(le=20)] = Field(5, description="Newton-Schulz iterations, 1 to 20; default 5")
    weight_decay: NonNegative = Field(0.0, description=_DECOUPLED + "; default 0")
    adamw_lr: Positive = Field(
        0.001,
        description="learning rate of the AdamW for biases and norms, above 0; follows the schedule; default 0.001",
    )


Optimizer = Annotated[
    SGD | RMSprop | Adam | AdamW | NAdam | RAdam | Adagrad | Adadelta | Adamax | LBFGS | Muon,
    Field(discriminator="type"),
]
