"""What the learning curves give reason to warn of: rules on the losses of epochs, each with the numbers it went by."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from core.engine.layer_symptoms import Symptom
from core.spec.job import JobSpec

# epochs that a mean of the latest is taken over
_LATEST = 5
_RISE, _RISE_OF_CONSTANT, _TRAIN_FELL = 0.15, 0.05, 0.85
_LEARNT, _LEAST_SKILL, _LEAST_GAIN = 0.1, 0.01, 0.1
_ENOUGH_EPOCHS = 10
_WORSE_THAN_START = 1.2
_MUCH_WORSE = 3.0
_SWINGS, _SWING = 8, 0.5
_LAST, _GAINS, _NEARLY_ALL = 3, 0.05, 0.8


@dataclass(slots=True)
class Curve:
    """The losses so far, as much of them as the rules need; JSON-safe."""

    first_loss: float | None = None
    """Of the very first batch, before anything was learnt."""
    epochs: int = 0
    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best_validation: float | None = None
    best_epoch: int = 0
    train_at_best: float = math.inf
    best_train: float | None = None
    best_accuracy: float = 0.0

    def add(self, train: float, validation: float | None, accuracy: float = 0.0) -> None:
        """Takes in the losses of the epoch that has just ended, and the accuracy on the training rows."""
        self.epochs += 1
        self.best_accuracy = max(self.best_accuracy, accuracy)
        self.train = [*self.train, train][-_SWINGS:]
        if self.best_train is None or train < self.best_train:
            self.best_train = train
        if validation is None or not math.isfinite(validation):
            return
        self.validation = [*self.validation, validation][-_LATEST:]
        if self.best_validation is None or validation < self.best_validation:
            self.best_validation, self.best_epoch, self.train_at_best = validation, self.epochs, train

    def numbers(self) -> dict[str, Any]:
        # lists are replaced and never changed, so they need no copy
        told = {name: getattr(self, name) for name in self.__slots__}
        return told | {"train_at_best": None if math.isinf(self.train_at_best) else self.train_at_best}

    @classmethod
    def of(cls, numbers: dict[str, Any]) -> Curve:
        at_best = numbers["train_at_best"]
        return cls(**{**numbers, "train_at_best": math.inf if at_best is None else at_best})


@dataclass(frozen=True, slots=True)
class Reference:
    """Losses that the curves are measured by: of the best constant answer, and of a perfect one."""

    constant: float
    perfect: float = 0.0
    share: float = 1.0
    """Accuracy of the constant answer, where there is one."""

    def skill(self, loss: float) -> float:
        """1 for a perfect loss, 0 for that of a constant, below 0 for a worse one."""
        span = self.constant - self.perfect
        return (self.constant - loss) / span if span > 0 else 1.0


def overfitting(curve: Curve, reference: Reference, validation_rows: int) -> Symptom | None:
    """Validation has risen for a while and by more than noise, and training has gone on falling.

    The fewer rows validate, the more of a rise is the doing of one or two of them.
    """
    best = curve.best_validation
    if best is None or len(curve.validation) < _LATEST or curve.epochs - curve.best_epoch < _LATEST:
        return None
    if reference.skill(max(curve.train[-_LATEST:])) < _LEARNT:
        return None
    # the least of the latest: one lucky epoch among them is no rise
    now, train = min(curve.validation), sum(curve.train[-_LATEST:]) / _LATEST
    span = reference.constant - reference.perfect
    rise, enough = (
        now - best,
        max(_RISE * (best - reference.perfect), _RISE_OF_CONSTANT * span * (1 + 100 / validation_rows)),
    )
    if not rise > enough or not train - reference.perfect < _TRAIN_FELL * (curve.train_at_best - reference.perfect):
        return None
    detail = (
        f"the validation loss was least in epoch {curve.best_epoch} ({best:.3g}) and has been at {now:.3g} or more for "
        f"the last {_LATEST} epochs, while the training loss fell from {curve.train_at_best:.3g} to {train:.3g}: the "
        "network learns its rows by heart; set training.early_stopping, use dropout or weight decay, take a smaller "
        "network or more rows"
    )
    return Symptom("overfitting", "/training/early_stopping", detail, rise / enough)


def no_learning(
    curve: Curve, reference: Reference, spec: JobSpec, *, is_over: bool, told: tuple[str, ...]
) -> Symptom | None:
    """After enough epochs, or at the end, the loss is not better than that of always the same answer."""
    enough = max(_ENOUGH_EPOCHS, spec.training.epochs // 2)
    if curve.best_train is None or not (is_over or curve.epochs >= enough):
        return None
    losses = [curve.best_train, *([] if curve.best_validation is None else [curve.best_validation])]
    if max(map(reference.skill, losses)) >= _LEAST_SKILL:
        return None
    # steps too long spoil a loss and may yet find the classes
    if curve.best_accuracy > reference.share + _LEAST_GAIN * (1 - reference.share):
        return None
    epochs = "1 epoch" if curve.epochs == 1 else f"{curve.epochs} epochs"
    default = type(spec.optimizer).model_fields["lr"].default
    slow = isinstance(default, float) and spec.optimizer.lr < default / 5
    if slow:
        do = f"a learning rate of {spec.optimizer.lr:g} is far below {spec.optimizer.type}'s {default:g}: raise it"
    elif told:
        do = f"see the warning {' and '.join(told)}"
    elif curve.epochs < _ENOUGH_EPOCHS:
        do = "train for more epochs, or raise optimizer.lr"
    else:
        do = "try another optimizer.lr, a hidden layer more, or features that say more about the target"
    detail = (
        f"after {epochs} the training loss of {curve.best_train:.4g} is no better than the {reference.constant:.4g} of "
        f"always giving the same answer: nothing was learnt; {do}"
    )
    by_rate = slow or curve.epochs < _ENOUGH_EPOCHS
    return Symptom("no_learning", "/optimizer/lr" if by_rate else "/network", detail, 1.0)


def still_learning(curve: Curve, reference: Reference) -> Symptom | None:
    """At the end of a run: the loss fell by a share that matters in every one of the last epochs."""
    name, losses = ("validation", curve.validation) if curve.validation else ("training", curve.train)
    skills = [reference.skill(loss) for loss in losses[-_LAST - 1 :]]
    if len(skills) < 2 or skills[-1] > _NEARLY_ALL:
        return None
    gain = min(after - before for before, after in pairwise(skills))
    if not gain > _GAINS:
        return None
    detail = (
        f"the {name} loss was still falling when the run ended, from {losses[-2]:.3g} to {losses[-1]:.3g} in epoch "
        f"{curve.epochs}: go on with POST /v1/jobs/{{id}}/continue, or raise training.epochs"
    )
    return Symptom("still_learning", "/training/epochs", detail, 1.0)


def lr_too_high(curve: Curve, reference: Reference, spec: JobSpec) -> Symptom | None:
    """The loss is above where it began and above that of a constant answer, or swings and does not get better."""
    if curve.first_loss is None or not curve.train:
        return None
    latest = curve.train[-2:]
    bar = max(curve.first_loss, reference.constant)
    risen = min(latest) / bar if bar > 0 else 0.0
    if risen > (_WORSE_THAN_START if len(latest) == 2 else _MUCH_WORSE):
        seen = f"the training loss began at {curve.first_loss:.3g} and is at {curve.train[-1]:.3g} after epoch "
        seen += f"{curve.epochs}; always giving the same answer has {reference.constant:.3g}"
        return Symptom("lr_too_high", "/optimizer/lr", f"{seen}: {_too_long(spec)}", risen ** (1 / 3))
    swing = _swing(curve, reference)
    if swing is None:
        return None
    seen = f"in the last {_SWINGS} epochs the training loss went up and down between {min(curve.train):.3g} and "
    seen += f"{max(curve.train):.3g} and did not get better"
    return Symptom("lr_too_high", "/optimizer/lr", f"{seen}: {_too_long(spec)}", 1.0)


def _swing(curve: Curve, reference: Reference) -> float | None:
    """How far the latest losses lie apart, in their median, where they go up and down at a height that matters."""
    train = curve.train
    if len(train) < _SWINGS or curve.best_train is None:
        return None
    median = sorted(train)[len(train) // 2]
    if reference.skill(median) > _SWING or median <= 0:
        return None
    ups = sum(after > before * 1.1 for before, after in pairwise(train))
    swing = (max(train) - min(train)) / median
    return swing if ups >= 3 and swing > _SWING and min(train[4:]) >= min(train[:4]) else None


def diverged(curve: Curve, spec: JobSpec, epoch: int, step: int) -> Symptom:
    """The loss or a weight is no number any more."""
    began = "" if curve.first_loss is None else f" from {curve.first_loss:.3g} at step 1"
    detail = f"the loss went{began} to infinity or NaN by step {step} in epoch {epoch}: {_too_long(spec)}"
    return Symptom("lr_too_high", "/optimizer/lr", detail, math.inf)


def _too_long(spec: JobSpec) -> str:
    lr = spec.optimizer.lr
    default = type(spec.optimizer).model_fields["lr"].default
    lower = default if isinstance(default, float) and default <= lr / 3 else lr / 10
    preprocess = spec.data.preprocess
    unscaled = ["scale"] if preprocess.scale == "none" else []
    unscaled += ["target_scale"] if spec.task == "regression" and preprocess.target_scale == "none" else []
    scaling = "".join(f", set data.preprocess.{field} to standard" for field in unscaled)
    return (
        f"with a learning rate of {lr:g} {spec.optimizer.type} steps over the minimum; lower optimizer.lr, to "
        f"{lower:g} to begin with{scaling}, or set training.clip_grad_norm"
    )
