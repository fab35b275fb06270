"""All the parts of a run, put together from its spec and data; and its state as one snapshot."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.changes import Change
from core.data.prepare import Parts, fold_sizes, prepare_parts
from core.data.sharing import derived_once
from core.engine.checkpoint import Snapshot, copied, network_tensors, prefixed
from core.engine.codes import check_codes
from core.engine.environment import describe, steps_at_once, useful_threads
from core.engine.evaluate import Evaluator, figures
from core.engine.flat import FlatParameters
from core.engine.folds import Place
from core.engine.layout import with_channels_last
from core.engine.learner import Learner
from core.engine.losses import Loss, build_loss
from core.engine.mixed import mixed_precision, with_scale
from core.engine.network import PRECISIONS, all_layers, build_network, output_shape
from core.engine.optimizers import Optimizer, build_optimizer
from core.engine.pace import Best, Pace, Patience, watches_upwards
from core.engine.rows import Batching, Rows, plan_batches, split_rows
from core.engine.seeds import derived_seed, epoch_order, seed_process
from core.engine.steps.choice import StepPath, build_solo, choose_path, lacks_compiler
from core.engine.steps.solo import Solo, Tools
from core.engine.steps.stack import Part
from core.engine.tally import Tally
from core.engine.timeline import changed_spec
from core.engine.watch import Watch
from core.events import Warned
from core.spec.dataset import DatasetSchema
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
            self.best.judge_by(*_judged_by(stopping, has_validation=self.validation is not None))
            self.tracks_best = self.spec.checkpoints.keep_best or stopping is not None
        self.watch.diagnosis.goes_by(self.spec)
        self.content_meta["spec"] = _told_spec(self.spec)
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


_WHOLE = Place()


def assemble(
    spec: JobSpec,
    schema: DatasetSchema,
    data_path: Path,
    device: torch.device,
    threads: int,
    *,
    place: Place = _WHOLE,
    path: StepPath | None = None,
) -> Assembly:
    """A training at its first step: data prepared, first values drawn, random streams seeded, `threads` at most set.

    `path` is how a run that is resumed took its steps so far, None for one that begins.
    Every fold begins with the same first values and random streams: folds differ by their rows alone.
    """
    training = spec.training
    prepared = prepare_parts(spec, schema, data_path, place.fold or 0)
    shape = tuple(prepared.train.x.shape[1:])
    network = build_network(spec.layered(), shape, seed=training.seed, precision=training.dtype).to(device)
    check_codes(network, [torch.from_numpy(part.x) for part in prepared.present], device)
    if device.type == "cuda":
        with_channels_last(network)
    flat = FlatParameters(network)
    classes = prepared.preparation.classes or ()
    outputs = output_shape(spec.layered(), shape)
    loss = build_loss(spec.loss, spec.task, outputs[-1], len(classes), PRECISIONS[training.dtype])
    kind = "rows", spec.loss.model_dump_json(), str(device)
    train, validation, test = derived_once(prepared, kind, lambda: split_rows(prepared, spec, loss, device))
    loss = loss.for_weights(train.loss_weight)
    batch_size = len(train) if training.batch_size == "full" else min(training.batch_size, len(train))
    batching = _batching(spec, len(train), batch_size, math.prod(shape) + math.prod(outputs))
    stopping = training.early_stopping
    seed_process(derived_seed(training.seed, "noise"), device)
    flops = max(2 * flat.num_matrix_values, network.flops)
    threads = useful_threads(threads, flops, batch_size)
    torch.set_num_threads(threads)
    part = Part(network, flat, loss, training.seed, batching.largest_batch)
    told = frozenset(code for result in place.earlier for code in result.warned)
    tools = _tools(spec, part, (train, validation), batch_size, told)
    path = choose_path(spec, network, shape, batching, device, begun_on=path)
    return Assembly(
        spec=spec,
        device=device,
        train=train,
        validation=validation,
        test=test,
        network=network,
        flat=flat,
        learner=tools.learner,
        optimizer=tools.optimizer,
        evaluator=_evaluator(spec, loss, prepared, max(network.rows_at_once, batch_size)),
        batching=batching,
        pace=_pace(spec, batching.steps_per_epoch),
        best=Best(*_judged_by(stopping, has_validation=validation is not None)),
        patience=Patience(stopping),
        tally=tools.tally,
        watch=tools.watch,
        path=path,
        solo=build_solo(
            path, tools, part, spec, rows=train, batching=batching, at_once=steps_at_once(flops, batch_size)
        ),
        content_meta=_content_meta(spec, shape, prepared, place.fold),
        environment=describe(device, threads, compiles=path == "compiled"),
        warnings=tuple(each for each in prepared.warnings if each.code not in told),
        place=place,
        lacks=lacks_compiler(spec, network, shape, batching, device, path=path),
        tracks_best=spec.checkpoints.keep_best or stopping is not None,
    )


def planned_steps(spec: JobSpec, schema: DatasetSchema, data_path: Path) -> tuple[int, ...]:
    """The steps of each fold when none ends early; empty for a run without folds."""
    if spec.data.split.folds is None:
        return ()
    wanted = spec.training.batch_size
    rows = fold_sizes(spec, schema, data_path)
    batchings = [_batching(spec, n, n if wanted == "full" else min(wanted, n), 1) for n in rows]
    return tuple(spec.training.epochs * batching.steps_per_epoch for batching in batchings)


def _judged_by(stopping: EarlyStoppingSpec | None, *, has_validation: bool) -> tuple[str, bool]:
    """(the value that the best state is judged by, whether more of it is better)."""
    if stopping is not None:
        return stopping.monitor, watches_upwards(stopping)
    monitor = "validation.loss" if has_validation else "train.loss"
    return monitor, improves_upwards(monitor)


def _batching(spec: JobSpec, num_rows: int, batch_size: int, values_per_row: int) -> Batching:
    has_batch_norm = any(each.over_batch for layer in all_layers(spec.layered()) for each in layer.everything())
    return plan_batches(num_rows, batch_size, values_per_row, spec.monitor.every_steps, needs_two=has_batch_norm)


def _pace(spec: JobSpec, steps_per_epoch: int) -> Pace:
    return Pace(spec.schedule, spec.optimizer.lr, spec.training.epochs * steps_per_epoch, steps_per_epoch)


def _evaluator(spec: JobSpec, loss: Loss, prepared: Parts, rows_at_once: int) -> Evaluator:
    names = spec.metrics or ()
    return Evaluator(spec, loss, prepared.preparation, names, rows_at_once, width=prepared.target_width)


def _tools(spec: JobSpec, part: Part, rows: tuple[Rows, Rows | None], batch_size: int, told: frozenset[str]) -> Tools:
    """What takes a step of this network; `rows` are those of training and validation, `told` what was warned of."""
    training, flat = spec.training, part.flat
    mixed = mixed_precision(training, flat.values.device)
    clip = {"clip_norm": training.clip_grad_norm, "clip_value": training.clip_grad_value}
    learner = Learner(part.network, flat, part.loss, spec.regularization, mixed=mixed, **clip)
    return Tools(
        learner,
        with_scale(build_optimizer(spec.optimizer, flat), mixed),
        Watch(spec, learner, part.network, rows, batch_size=batch_size, told=told),
        Tally(part.loss, is_classification=spec.task == "classification"),
    )


def _content_meta(spec: JobSpec, shape: tuple[int, ...], prepared: Parts, fold: int | None) -> dict[str, Any]:
    """What leaves with the weights."""
    preparation = prepared.preparation
    meta = {
        "spec": _told_spec(spec),
        "input_shape": list(shape),
        "classes": list(preparation.classes or ()) or None,
        "preparation": derived_once(prepared, "json", preparation.to_json),
    }
    return meta if fold is None else {**meta, "fold": fold}


def _told_spec(spec: JobSpec) -> dict[str, Any]:
    """Without name and tags: the same training gives the same bytes under any name."""
    return spec.model_dump(mode="json", exclude={"name", "tags"})
