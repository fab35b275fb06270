"""A training under way: all its parts, where it stands, and its state as one snapshot."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from core.changes import Change
from core.engine.checkpoint import Snapshot, copied, network_tensors, prefixed
from core.engine.evaluate import Evaluator, figures
from core.engine.flat import FlatParameters
from core.engine.folds import Place
from core.engine.learner import Learner
from core.engine.optimizers import Optimizer
from core.engine.pace import Best, Pace, Patience, watches_upwards
from core.engine.rows import Batching, Rows
from core.engine.seeds import epoch_order
from core.engine.steps.choice import StepPath
from core.engine.steps.solo import Solo
from core.engine.tally import Tally
from core.engine.timeline import changed_spec
from core.engine.watch import Watch
from core.events import Warned
from core.spec.job import JobSpec
from core.spec.metrics import improves_upwards
from core.spec.training import EarlyStoppingSpec


@dataclass(slots=True)
class Assembly:
    """A training ready to go; `step` counts the optimizer's steps and is the whole of its position in it."""

    spec: JobSpec
    device: torch.device
    train: Rows
    validation: Rows | None
    test: Rows | None
    network: nn.Sequential
    flat: FlatParameters
    learner: Learner
    optimizer: Optimizer
    evaluator: Evaluator
    batching: Batching
    pace: Pace
    best: Best
    patience: Patience
    tally: Tally
    watch: Watch
    path: StepPath
    solo: Solo
    content_meta: dict[str, Any]
    environment: dict[str, Any]
    warnings: tuple[Warned, ...]
    place: Place
    step: int = 0
    changes: int = 0
    """Number of the last live change that is in force."""
    elapsed_before_s: float = 0.0
    tracks_best: bool = field(default=True)
    told_negative_loss: bool = False
    lacks: str | None = None
    """What the machine lacks where the steps would be compiled but for that."""

    @property
    def epoch(self) -> int:
        """Epochs completed."""
        return self.step // self.batching.steps_per_epoch

    @property
    def step_in_epoch(self) -> int:
        return self.step % self.batching.steps_per_epoch

    @property
    def total_steps(self) -> int:
        return self.spec.training.epochs * self.batching.steps_per_epoch

    @property
    def run_step(self) -> int:
        """The step as the run counts it, over all folds."""
        return self.place.first_step + self.step

    @property
    def run_steps(self) -> int:
        return self.place.steps or self.total_steps

    @property
    def is_over(self) -> bool:
        """All epochs done, or early stopping."""
        return self.step >= self.total_steps or (self.patience.is_over and self.step_in_epoch == 0)

    def stride(self, left: int) -> int:
        """How many of the `left` steps of a window are taken before the run is asked again."""
        return min(left, self.solo.count, max(1, self.watch.steps_before_look(self.step)))

    def order(self) -> Tensor | None:
        """Row numbers in the order of the epoch under way; None as they stand. Order is nothing to a full batch."""
        if not self.spec.training.shuffle or self.batching.steps_per_epoch == 1:
            return None
        return epoch_order(self.spec.training.seed, self.epoch, len(self.train)).to(self.train.x.device)

    def evaluate(self, rows: Rows, split: str) -> dict[str, float]:
        """Loss and metrics of a part, `<split>.<metric>`, with the network as it stands."""
        outputs = self.solo.outputs(rows, self.evaluator.chunk)
        return figures([self.evaluator], outputs.unsqueeze(0), rows, split)[0]

    def is_finite(self) -> bool:
        """Whether every weight is a number: their sum is not when one of them is not."""
        return math.isfinite(float(self.flat.values.double().sum()))

    def note_best(self, value: float | None) -> bool:
        """True when the epoch that has just ended is the best so far; its network is then kept."""
        if not self.tracks_best or not self.best.beaten_by(value):
            return False
        self.best.value, self.best.epoch, self.best.step = value, self.epoch, self.step
        self.best.tensors = copied(network_tensors(self.network))
        return True

    def note_sign(self, train_loss: float) -> Iterator[Warned]:
        """Says once that negative weights have brought the loss below zero, from where it can fall without end."""
        if self.learner.loss.mean_weight is None or train_loss >= 0 or self.spec.loss.type == "poisson":
            return
        if not self.told_negative_loss:
            self.told_negative_loss = True
            yield Warned(
                "negative_loss",
                "/data/weight",
                f"the training loss is {train_loss:.4g}: rows of negative weight outweigh the others where the network "
                "is wrong, and it learns to be wrong there; use a smaller network, more regularization or more rows",
                self.epoch,
                self.step,
            )

    def take_best(self) -> None:
        """Puts the best state so far, if one is kept, into the network."""
        if self.best.tensors:
            self.network.load_state_dict(self.best.tensors)

    def make(self, change: Change) -> Change:
        """Puts a live change in force for the steps from here on, and returns it as it was made.

        The epoch under way is always finished. Patience counts anew; another monitored value judges the best from the
        next epoch on, and until then the best so far stays. The schedule goes on as if peak and length were these from
        the beginning.
        """
        fields = dict(change.fields)
        if "epochs" in fields:
            fields["epochs"] = max(fields["epochs"], self.epoch + 1)
        made = replace(change, fields=fields, step=self.step)
        self.spec = changed_spec(self.spec, made)
        self.changes = made.number
        self.pace.peak_lr, self.pace.total_steps = self.spec.optimizer.lr, self.total_steps
        if "early_stopping" in fields:
            stopping = self.spec.training.early_stopping
            self.patience = Patience(stopping)
            self.best.judge_by(*judged_by(stopping, has_validation=self.validation is not None))
            self.tracks_best = self.spec.checkpoints.keep_best or stopping is not None
        self.watch.diagnosis.goes_by(self.spec)
        self.content_meta["spec"] = told_spec(self.spec)
        return made

    def snapshot(self, *, is_best: bool = False, value: float | None = None, elapsed_s: float = 0.0) -> Snapshot:
        """The whole state of the run at this step, live."""
        state = prefixed(self.optimizer.tensors(), "optimizer") | prefixed(self.tally.tensors(), "tally")
        if self.path == "autograd":
            # layers draw from the process's generators there, elsewhere by seed and step
            state["rng.cpu"] = torch.get_rng_state()
            if self.device.type == "cuda":
                state["rng.cuda"] = torch.cuda.get_rng_state(self.device)
        if self.best.step != self.step:
            state |= prefixed(self.best.tensors, "best")
        meta: dict[str, Any] = {
            "step": self.step,
            "path": self.path,
            "epochs": self.spec.training.epochs,
            "environment": self.environment,
            "optimizer": self.optimizer.numbers(),
            "pace": self.pace.numbers(),
            "patience": self.patience.numbers(),
            "best": self.best.numbers(),
            "tally": self.tally.numbers(),
            "watch": self.watch.numbers(),
        }
        if self.changes:
            meta["changes"] = self.changes
        if self.place.fold is not None:
            meta |= {"fold": self.place.fold, "results": [asdict(result) for result in self.place.earlier]}
        if self.spec.training.time_limit_s is not None:
            # the one thing in a state that a clock decides, and only where it is asked for
            meta["elapsed_s"] = elapsed_s
        if self.told_negative_loss:
            meta["told_negative_loss"] = True
        return Snapshot(
            epoch=self.epoch,
            step=self.run_step,
            content=network_tensors(self.network),
            content_meta={**self.content_meta, "epoch": self.epoch, "step": self.run_step},
            state=state,
            state_meta=meta,
            is_best=is_best and self.place.leads(value, upwards=self.best.upwards),
            monitor=self.best.monitor,
            monitor_value=value if value is not None and math.isfinite(value) else None,
            end_of_epoch=self.step_in_epoch == 0,
        )


def told_spec(spec: JobSpec) -> dict[str, Any]:
    """Without name and tags: the same training gives the same bytes under any name."""
    return spec.model_dump(mode="json", exclude={"name", "tags"})


def judged_by(stopping: EarlyStoppingSpec | None, *, has_validation: bool) -> tuple[str, bool]:
    """(the value that the best state is judged by, whether more of it is better)."""
    if stopping is not None:
        return stopping.monitor, watches_upwards(stopping)
    monitor = "validation.loss" if has_validation else "train.loss"
    return monitor, improves_upwards(monitor)
