"""One training run, from a resolved spec and a data file to the events that tell its story."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.changes import Change
from core.engine import environment, reports
from core.engine.assembling import assemble, planned_steps
from core.engine.assembly import Assembly
from core.engine.baselines.beside import Baselines, with_baselines
from core.engine.faults import is_out_of_memory, last_word
from core.engine.folds import Course
from core.engine.from_data import begin_from_data
from core.engine.keeper import Keeper
from core.engine.reports import Clock
from core.engine.resuming import LeftOff, restore
from core.engine.steps.due import Closing, Due, Evaluation, Steps, Story, alone
from core.engine.timeline import NextChange, Timeline, no_change
from core.errors import TrainingFailed
from core.events import Changed, Event, Log
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec
from core.states import StopReason


@dataclass(frozen=True, slots=True)
class Run:
    """What a run needs: a resolved spec, where its data stand, a folder to write in, and where it left off.

    `resume` are the content and state files of a checkpoint; `threads` is how many the process may compute with.
    `changes` are all that were asked for so far, in order; those that were made have their step.
    """

    spec: JobSpec
    schema: DatasetSchema
    data_path: Path
    workdir: Path
    resume: tuple[Path, Path] | None = None
    checkpoint_every_s: float = 30.0
    threads: int = 1
    changes: tuple[Change, ...] = ()
    company: int = 1
    """How many runs share the process, this one among them."""


ShouldStop = Callable[[], StopReason | None]


def train(run: Run, should_stop: ShouldStop, next_change: NextChange = no_change) -> Iterator[Event]:
    """The events of the run in order: Started first; Finished, Stopped or Failed last.

    `should_stop` and, for changes that are asked for meanwhile, `next_change` are asked before every step, or
    before some of them that take a few milliseconds together. A fault of the user's making ends the run with Failed;
    one of ours raises.
    """
    events = alone(story(run, should_stop, next_change))
    if run.spec.baselines:
        others = Baselines(run.spec, run.schema, run.data_path, run.workdir, run.threads)
        events = with_baselines(events, others, should_stop)
    yield from events


def story(run: Run, should_stop: ShouldStop, next_change: NextChange = no_change) -> Story:
    """The run as its loop tells it: events, and between them the steps that whoever listens has to take."""
    try:
        yield from _train(run, should_stop, next_change)
    except (TrainingFailed, MemoryError, RuntimeError) as fault:
        if not (isinstance(fault, TrainingFailed) or is_out_of_memory(fault)):
            raise
        yield last_word(fault)


def _train(run: Run, should_stop: ShouldStop, next_change: NextChange) -> Story:
    device = environment.choose_device(run.spec.training.device)
    left = LeftOff.read(run.resume)
    timeline = Timeline(run.changes, left.changes, next_change)
    spec = timeline.before_resume(run.spec)
    course = Course(planned_steps(spec, run.schema, run.data_path))
    keeper = Keeper(run.workdir, spec.checkpoints, run.company)
    clock: Clock | None = None
    results = list(left.results)

    # One training, or with folds one after another; a fold that had ended is not trained again.
    for fold in range(left.fold, course.trainings):
        environment.set_up(device, tf32=spec.training.tf32)
        place = course.place(fold, results)
        a = assemble(spec, run.schema, run.data_path, device, run.threads, place=place, path=left.path)
        reasons: list[str] = []
        resumed = run.resume if fold == left.fold else None
        if resumed:
            reasons = restore(a, *resumed)
            keeper.has_written(a.run_step)
        else:
            begin_from_data(a.network, a.train.x, spec.training.seed)
        if clock is None:
            yield reports.started(a, reasons)
            clock = Clock(spec.training.time_limit_s, a.elapsed_before_s)
        if not resumed:
            yield from a.warnings
        if a.lacks is not None:
            yield Log(f"steps are not compiled, which would repay itself here: this worker has {a.lacks}")
        yield from a.solo.prepare(partial(_is_to_end, should_stop, clock))
        if not (yield from _fit(run, a, keeper, clock, timeline=timeline, should_stop=should_stop)):
            return
        if place.fold is None:
            yield from reports.finished(a)
            return
        results.append(reports.fold_result(a))
    yield reports.finished_folds(results, upwards=a.best.upwards)


def _fit(
    run: Run, a: Assembly, keeper: Keeper, clock: Clock, *, timeline: Timeline, should_stop: ShouldStop
) -> Generator[Event | Due, None, bool]:
    """One training from where it stands to its end; False when it was asked to stop before."""
    clock.begin(a)
    while not a.is_over:
        # An epoch's order is a function of (seed, epoch), so a resumed one finds its place in it.
        order = a.order()
        if not a.network.training:
            a.network.train()
        for window in a.batching.windows(a.epoch, a.step_in_epoch):
            # The rows of some dozen steps are gathered at once; each batch is then a slice.
            rows = window.take(a.train, order)
            count = window.last_step - a.step_in_epoch
            lrs = a.pace.lrs(a.step, count)
            place = 0
            while place < count:
                # Every way to end early meets here, between two steps, with the whole state at hand.
                reason = should_stop() or clock.time_limit()
                if reason is not None:
                    yield from reports.stop(a, keeper, clock, reason)
                    return False
                # A change is told before anything that it moves, so that whoever records it knows its step.
                while (change := timeline.due(a.step)) is not None:
                    made = a.make(change)
                    yield Changed(made.number, a.run_step, a.epoch, made.fields)
                    lrs[place:] = a.pace.lrs(a.step, count - place)
                if clock.is_due():
                    yield clock.progress(a)
                    if a.step and keeper.is_due_within(run.checkpoint_every_s) and a.is_finite():
                        yield from keeper.write(a.snapshot(elapsed_s=clock.elapsed_s))

                # Forward, backward, update.
                end = place + timeline.steps_before_next(a.step, a.stride(count - place))
                yield Steps(a, rows, lrs[place:end])
                place = end
                if a.watch.has_seen:
                    yield from reports.seen(a)

            # Reading a loss waits for the device and costs as much as a step: once a window is enough.
            yield Closing(a, rows)
            if not math.isfinite(a.tally.window_loss):
                yield from reports.diverge(a, keeper, clock)
            if reports.has_row_within(a):
                yield reports.row(a, a.tally.end_row() | {"lr": lrs[-1]})

        yield from _end_epoch(a, keeper, clock, lrs[-1])

    yield clock.progress(a)
    yield from keeper.flush()
    return True


def _end_epoch(a: Assembly, keeper: Keeper, clock: Clock, lr: float) -> Story:
    """What the epoch came to, whether it is the best so far, and its state."""
    if not a.is_finite():
        yield from reports.diverge(a, keeper, clock)
    values = a.tally.end_epoch() | reports.penalty(a)
    if a.validation is not None:
        evaluation = Evaluation(a, a.validation, "validation")
        yield evaluation
        values |= evaluation.values
    values["lr"] = lr
    value = values.get(a.best.monitor)
    is_best = a.note_best(value)
    a.patience.note(value)
    a.pace.note(values)
    yield reports.row(a, values)
    yield from reports.warned(a, a.note_sign(values["train.loss"]))
    yield from reports.warned(a, a.watch.diagnosis.epoch(values, a.epoch, a.step, is_over=a.is_over))
    yield from keeper.epoch_ended(a.snapshot(is_best=is_best, value=value, elapsed_s=clock.elapsed_s))


def _is_to_end(should_stop: ShouldStop, clock: Clock) -> bool:
    return bool(should_stop() or clock.time_limit())
