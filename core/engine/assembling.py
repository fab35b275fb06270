"""A training put together from a resolved spec and a data file, at its first step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from core.data.prepare import Parts, fold_sizes, prepare_parts
from core.data.sharing import derived_once
from core.engine.assembly import Assembly, judged_by, told_spec
from core.engine.codes import check_codes
from core.engine.environment import describe, steps_at_once, useful_threads
from core.engine.evaluate import Evaluator
from core.engine.flat import FlatParameters
from core.engine.folds import Place
from core.engine.layout import with_channels_last
from core.engine.learner import Learner
from core.engine.losses import Loss, build_loss
from core.engine.mixed import mixed_precision, with_scale
from core.engine.network import PRECISIONS, all_layers, build_network, output_shape
from core.engine.optimizers import build_optimizer
from core.engine.pace import Best, Pace, Patience
from core.engine.rows import Batching, Rows, plan_batches, split_rows
from core.engine.seeds import derived_seed, seed_process
from core.engine.steps.choice import StepPath, build_solo, choose_path, lacks_compiler
from core.engine.steps.solo import Tools
from core.engine.steps.stack import Part
from core.engine.tally import Tally
from core.engine.watch import Watch
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec

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
        best=Best(*judged_by(stopping, has_validation=validation is not None)),
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
        "spec": told_spec(spec),
        "input_shape": list(shape),
        "classes": list(preparation.classes or ()) or None,
        "preparation": derived_once(prepared, "json", preparation.to_json),
    }
    return meta if fold is None else {**meta, "fold": fold}
