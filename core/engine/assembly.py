"""All the parts of a run, put together from its spec and data; and its state as one snapshot."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.data.preparation import Preparation
from core.data.prepare import prepare
from core.engine.checkpoint import Snapshot, network_tensors, part, prefixed, read_tensors
from core.engine.environment import describe, differences, useful_threads
from core.engine.evaluate import Evaluator
from core.engine.flat import FlatParameters
from core.engine.learner import Learner
from core.engine.losses import Loss, build_loss
from core.engine.network import PRECISIONS, all_layers, build_network, output_shape
from core.engine.optimizers import Optimizer, build_optimizer
from core.engine.pace import Best, Pace, Patience, watches_upwards
from core.engine.rows import Batching, Rows, plan_batches, split_rows
from core.engine.seeds import derived_seed, epoch_order
from core.engine.tally import Tally
from core.engine.watch import Watch
from core.events import Warned
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec
from core.spec.metrics import always_reported, improves_upwards
from core.spec.schedules import DEPENDS_ON_TOTAL


@dataclass(slots=True)
class Assembly:
    """A run ready to go; `step` counts the optimizer's steps and is the whole of its position."""

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
    content_meta: dict[str, Any]
    environment: dict[str, Any]
    warnings: tuple[Warned, ...]
    step: int = 0
    elapsed_before_s: float = 0.0
    tracks_best: bool = field(default=True)
    told_negative_loss: bool = False

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
    def is_over(self) -> bool:
        """All epochs done, or early stopping."""
        return self.step >= self.total_steps or (self.patience.is_over and self.step_in_epoch == 0)

    def order(self) -> Tensor | None:
        """Row numbers in the order of the epoch under way; None as they stand. Order is nothing to a full batch."""
        if not self.spec.training.shuffle or self.batching.steps_per_epoch == 1:
            return None
        return epoch_order(self.spec.training.seed, self.epoch, len(self.train)).to(self.device)

    def is_finite(self) -> bool:
        """Whether every weight is a number: their sum is not when one of them is not."""
        return math.isfinite(float(self.flat.values.double().sum()))

    def note_best(self, value: float | None) -> bool:
        """True when the epoch that has just ended is the best so far; its network is then kept."""
        if not self.tracks_best or not self.best.beaten_by(value):
            return False
        self.best.value, self.best.epoch, self.best.step = value, self.epoch, self.step
        self.best.tensors = {name: tensor.clone() for name, tensor in network_tensors(self.network).items()}
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

    def snapshot(self, *, is_best: bool = False, value: float | None = None, elapsed_s: float = 0.0) -> Snapshot:
        """The whole state of the run at this step, live."""
        state = prefixed(self.optimizer.tensors(), "optimizer") | prefixed(self.tally.tensors(), "tally")
        state["rng.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            state["rng.cuda"] = torch.cuda.get_rng_state(self.device)
        if self.best.step != self.step:
            state |= prefixed(self.best.tensors, "best")
        meta = {
            "step": self.step,
            "epochs": self.spec.training.epochs,
            "environment": self.environment,
            "optimizer": self.optimizer.numbers(),
            "pace": self.pace.numbers(),
            "patience": self.patience.numbers(),
            "best": self.best.numbers(),
            "tally": self.tally.numbers(),
            "watch": self.watch.numbers(),
        }
        if self.spec.training.time_limit_s is not None:
            # the one thing in a state that a clock decides, and only where it is asked for
            meta["elapsed_s"] = elapsed_s
        if self.told_negative_loss:
            meta["told_negative_loss"] = True
        return Snapshot(
            epoch=self.epoch,
            step=self.step,
            content=network_tensors(self.network),
            content_meta={**self.content_meta, "epoch": self.epoch, "step": self.step},
            state=state,
            state_meta=meta,
            is_best=is_best,
            monitor=self.best.monitor,
            monitor_value=value if value is not None and math.isfinite(value) else None,
            end_of_epoch=self.step_in_epoch == 0,
        )


def assemble(spec: JobSpec, schema: DatasetSchema, data_path: Path, device: torch.device, threads: int) -> Assembly:
    """The run at its first step: data prepared, first values drawn, random streams seeded, `threads` at most set."""
    training = spec.training
    prepared = prepare(spec, schema, data_path)
    shape = tuple(prepared.x.shape[1:])
    network = build_network(spec.layered(), shape, seed=training.seed, precision=training.precision).to(device)
    flat = FlatParameters(network)
    classes = prepared.preparation.classes or ()
    outputs = output_shape(spec.layered(), shape)
    loss = build_loss(spec.loss, spec.task, outputs[-1], len(classes), PRECISIONS[training.precision])
    train, validation, test = split_rows(prepared, spec, loss, device)
    loss = loss.for_weights(train.loss_weight)
    batch_size = len(train) if training.batch_size == "full" else min(training.batch_size, len(train))
    batching = _batching(spec, len(train), batch_size, math.prod(shape) + math.prod(outputs))
    stopping = training.early_stopping
    monitor = stopping.monitor if stopping else ("validation.loss" if validation else "train.loss")
    torch.manual_seed(derived_seed(training.seed, "noise"))
    threads = useful_threads(threads, flat.num_matrix_values, batch_size)
    torch.set_num_threads(threads)
    learner = _learner(spec, network, flat, loss)
    return Assembly(
        spec=spec,
        device=device,
        train=train,
        validation=validation,
        test=test,
        network=network,
        flat=flat,
        learner=learner,
        optimizer=build_optimizer(spec.optimizer, flat),
        evaluator=Evaluator(
            spec,
            loss,
            prepared.preparation,
            _metric_names(spec, len(classes)),
            max(2048, batch_size),
            width=prepared.target_width,
        ),
        batching=batching,
        pace=Pace(
            spec.schedule, spec.optimizer.lr, training.epochs * batching.steps_per_epoch, batching.steps_per_epoch
        ),
        best=Best(monitor, watches_upwards(stopping) if stopping else improves_upwards(monitor)),
        patience=Patience(stopping),
        tally=Tally(loss, is_classification=spec.task == "classification"),
        watch=Watch(spec, learner, network, (train, validation), batch_size=batch_size),
        content_meta=_content_meta(spec, shape, prepared.preparation),
        environment=describe(device, threads),
        warnings=prepared.warnings,
        tracks_best=spec.checkpoints.keep_best or stopping is not None,
    )


def _batching(spec: JobSpec, num_rows: int, batch_size: int, values_per_row: int) -> Batching:
    has_batch_norm = any(each.over_batch for layer in all_layers(spec.layered()) for each in layer.everything())
    return plan_batches(num_rows, batch_size, values_per_row, spec.monitor.every_steps, needs_two=has_batch_norm)


def _learner(spec: JobSpec, network: nn.Module, flat: FlatParameters, loss: Loss) -> Learner:
    training = spec.training
    clip = {"clip_norm": training.clip_grad_norm, "clip_value": training.clip_grad_value}
    return Learner(network, flat, loss, spec.regularization, **clip)


def _content_meta(spec: JobSpec, shape: tuple[int, ...], preparation: Preparation) -> dict[str, Any]:
    """What leaves with the weights. Name and tags stay: the same training gives the same bytes under any name."""
    return {
        "spec": spec.model_dump(mode="json", exclude={"name", "tags"}),
        "input_shape": list(shape),
        "classes": list(preparation.classes or ()) or None,
        "preparation": preparation.to_json(),
    }


def restore(run: Assembly, content: Path, state: Path) -> list[str]:
    """Puts the run where its files left it; returns why what follows is not bit for bit, empty when it is."""
    tensors, _ = read_tensors(content)
    run.network.load_state_dict(tensors)
    state_tensors, meta = read_tensors(state)
    on_device = {name: tensor.to(run.device) for name, tensor in state_tensors.items() if not name.startswith("rng.")}
    run.step = meta["step"]
    run.elapsed_before_s = meta.get("elapsed_s", 0.0)
    run.told_negative_loss = meta.get("told_negative_loss", False)
    run.optimizer.load(part(on_device, "optimizer"), meta["optimizer"])
    run.pace.load(meta["pace"])
    run.patience.load(meta["patience"])
    run.tally.load(part(on_device, "tally"), meta["tally"])
    run.watch.load(meta.get("watch"), run.step)
    best = part(on_device, "best")
    if meta["best"]["step"] == run.step:
        best = {name: tensor.clone() for name, tensor in network_tensors(run.network).items()}
    run.best.load(meta["best"], best)
    torch.set_rng_state(state_tensors["rng.cpu"])
    reasons = differences(meta["environment"], run.environment)
    if run.device.type == "cuda" and "rng.cuda" in state_tensors:
        torch.cuda.set_rng_state(state_tensors["rng.cuda"], run.device)
    if run.spec.training.epochs > meta["epochs"]:
        # whoever asks for more epochs gives them time as well
        run.elapsed_before_s = 0.0
        if run.patience.is_over:
            run.patience.waited = 0
            reasons.append("early stopping had ended the run and counts anew")
        shortened = run.spec.schedule.warmup_steps >= meta["epochs"] * run.batching.steps_per_epoch
        if run.spec.schedule.type in DEPENDS_ON_TOTAL or shortened:
            reasons.append(f"the {run.spec.schedule.type} schedule spans {run.spec.training.epochs} epochs now")
    return reasons


def _metric_names(spec: JobSpec, num_classes: int) -> tuple[str, ...]:
    """What the task always reports, what the spec asks for, and what early stopping and the schedule watch."""
    assert spec.task != "auto", "a resolved spec has its task"
    names: list[str] = [*always_reported(spec.task, binary=num_classes == 2), *(spec.metrics or ())]
    watched = [spec.training.early_stopping.monitor] if spec.training.early_stopping else []
    watched += [spec.schedule.monitor] if spec.schedule.type == "plateau" else []
    names += [name.rpartition(".")[2] for name in watched if name.startswith("validation.")]
    return tuple(dict.fromkeys(name for name in names if name != "loss"))
