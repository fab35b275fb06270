"""One training run, from a resolved spec and a data file to the events that tell its story."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from core.engine import environment
from core.engine.assembly import Assembly, assemble, restore
from core.engine.from_data import begin_from_data
from core.engine.keeper import Keeper
from core.errors import TrainingFailed
from core.events import Event, Failed, Finished, Metrics, Progress, Started, Stopped
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec
from core.states import StopReason

_PROGRESS_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Run:
    """What a run needs: a resolved spec, where its data stand, a folder to write in, and where it left off.

    `resume` are the content and state files of a checkpoint; `threads` is how many the process may compute with.
    """

    spec: JobSpec
    schema: DatasetSchema
    data_path: Path
    workdir: Path
    resume: tuple[Path, Path] | None = None
    checkpoint_every_s: float = 30.0
    threads: int = 1


def train(run: Run, should_stop: Callable[[], StopReason | None]) -> Iterator[Event]:
    """The events of the run in order: Started first; Finished, Stopped or Failed last.

    `should_stop` is asked before every step. A fault of the user's making ends the run with Failed; one of ours raises.
    """
    try:
        yield from _train(run, should_stop)
    except TrainingFailed as failure:
        yield Failed(failure.code, failure.detail, failure.hint, failure.pointer, failure.epoch)
    except (MemoryError, RuntimeError) as fault:
        if not _is_out_of_memory(fault):
            raise
        yield Failed(
            "out_of_memory",
            f"the run needs more memory than it has: {fault or 'allocation refused'}",
            hint="make batch_size smaller, or the layers narrower",
            pointer="/training/batch_size",
        )


def _train(run: Run, should_stop: Callable[[], StopReason | None]) -> Iterator[Event]:
    device = environment.choose_device(run.spec.training.device)
    environment.set_up(device)
    a = assemble(run.spec, run.schema, run.data_path, device, run.threads)
    yield from _begin(a, run)
    keeper = Keeper(run.workdir, run.spec.checkpoints, written_step=a.step if run.resume else None)
    clock = _Clock(a)

    while not a.is_over:
        # An epoch's order is a function of (seed, epoch), so a resumed one finds its place in it.
        order = a.order()
        a.network.train()
        for window in a.batching.windows(a.epoch, a.step_in_epoch):
            # The rows of some dozen steps are gathered at once; each batch is then a slice.
            rows = window.take(a.train, order)
            batches = window.batches(rows, a.step_in_epoch)
            for batch, lr in zip(batches, a.pace.lrs(a.step, len(batches)), strict=True):
                # Every way to end early meets here, between two steps, with the whole state at hand.
                reason = should_stop() or clock.time_limit()
                if reason is not None:
                    yield from _stop(a, keeper, clock, reason)
                    return
                if clock.is_due():
                    yield clock.progress()
                    if keeper.is_due_within(run.checkpoint_every_s) and a.is_finite():
                        yield from keeper.write(a.snapshot(elapsed_s=clock.elapsed_s))

                # Forward, backward, update.
                outputs = a.watch.step(a.optimizer, partial(a.learner.gradients, *batch), lr, a.step + 1)
                a.step += 1
                a.tally.add(outputs, a.learner.gradient_norm, a.learner.extra_loss)
                if a.watch.has_seen:
                    yield from _seen(a)

            # Reading a loss waits for the device and costs as much as a step: once a window is enough.
            if not math.isfinite(a.tally.close_window(rows)):
                yield from _diverge(a, keeper)
                return
            if _has_row_within(a):
                yield _metrics(a, a.tally.end_row() | {"lr": lr})

        if not a.is_finite():
            yield from _diverge(a, keeper)
            return
        values = a.tally.end_epoch() | _end_of_epoch(a) | {"lr": lr}
        value = values.get(a.best.monitor)
        is_best = a.note_best(value)
        a.patience.note(value)
        a.pace.note(values)
        yield _metrics(a, values)
        yield from a.note_sign(values["train.loss"])
        yield from a.watch.diagnosis.epoch(values, a.epoch, a.step, is_over=a.is_over)
        yield from keeper.epoch_ended(a.snapshot(is_best=is_best, value=value, elapsed_s=clock.elapsed_s))

    yield clock.progress()
    yield from keeper.flush()
    yield _finished(a)


def _begin(a: Assembly, run: Run) -> Iterator[Event]:
    """Where the run left off, or its first values and what its data gave reason to warn of."""
    if run.resume:
        yield _started(a, restore(a, *run.resume))
        return
    begin_from_data(a.network, a.train.x, run.spec.training.seed)
    yield _started(a, [])
    yield from a.warnings


def _started(a: Assembly, reasons: list[str]) -> Started:
    return Started(
        steps_per_epoch=a.batching.steps_per_epoch,
        total_steps=a.total_steps,
        resume_exact=not reasons,
        resume_note="; ".join(reasons) or None,
        environment=a.environment,
    )


def _has_row_within(a: Assembly) -> bool:
    """Whether the history has a row of the training figures at this step, within an epoch."""
    every = a.spec.monitor.every_steps
    return bool(every and a.step % every == 0 and a.step_in_epoch)


def _seen(a: Assembly) -> Iterator[Event]:
    """What the step just done looked like within the layers; its values join the row that is due at the same step."""
    row, warnings = a.watch.seen(_epochs_begun(a))
    yield from warnings
    if row and (_has_row_within(a) or not a.step_in_epoch):
        a.watch.microscope.hold(row)
    elif row:
        yield _metrics(a, row)


def _end_of_epoch(a: Assembly) -> dict[str, float]:
    """Penalties and the validation part's figures."""
    values = {"train.penalty": float(a.learner.penalty())} if a.learner.has_penalty else {}
    return values | (a.evaluator(a.network, a.validation, "validation") if a.validation else {})


def _epochs_begun(a: Assembly) -> int:
    return math.ceil(a.step / a.batching.steps_per_epoch)


def _metrics(a: Assembly, values: dict[str, float]) -> Metrics:
    clean, non_finite = _told_apart(values | a.watch.microscope.take_held())
    return Metrics(
        epoch=_epochs_begun(a),
        step=a.step,
        values=clean,
        non_finite=non_finite,
        time=time.time(),
    )


def _told_apart(values: dict[str, float]) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """The values with None for what is not finite, and the names of those."""
    clean = {name: value if math.isfinite(value) else None for name, value in values.items()}
    return clean, tuple(name for name, value in clean.items() if value is None)


def _stop(a: Assembly, keeper: Keeper, clock: _Clock, reason: StopReason) -> Iterator[Event]:
    """The state as it stands, written down, and why; one that is not finite would spoil the last that is."""
    if not a.is_finite():
        yield from _diverge(a, keeper)
    yield clock.progress()
    yield from keeper.write(a.snapshot(elapsed_s=clock.elapsed_s))
    if reason is StopReason.TIME_LIMIT:
        limit = a.spec.training.time_limit_s
        raise TrainingFailed(
            f"the time limit of {limit:g} s was reached at step {a.step} of {a.total_steps}",
            code="time_limit",
            pointer="/training/time_limit_s",
            hint="raise time_limit_s, or ask for fewer epochs; the last checkpoint holds the work",
            epoch=a.epoch,
        )
    yield Stopped(reason=reason.value, epoch=a.epoch, step=a.step)


def _diverge(a: Assembly, keeper: Keeper) -> Iterator[Event]:
    """The last finite state if it was only held, the row that shows it, and the reason."""
    yield from keeper.flush()
    values = a.tally.end_epoch()
    yield _metrics(a, values | {"train.loss": math.nan})
    epoch = _epochs_begun(a)
    yield from a.watch.diagnosis.diverged(epoch, a.step)
    raise TrainingFailed(
        f"the loss or a weight became infinite or NaN in epoch {epoch}, at step {a.step} or shortly before",
        code="diverged",
        pointer="/optimizer/lr",
        hint=f"lower the learning rate of {a.spec.optimizer.lr:g}, clip gradients, or scale features and target",
        epoch=epoch,
    )


def _finished(a: Assembly) -> Finished:
    """The figures of the best state on rows never seen: those of the test part, else of the validation part."""
    if a.best.tensors:
        a.network.load_state_dict(a.best.tensors)
    values: dict[str, float] = {}
    if a.test is not None:
        values = a.evaluator(a.network, a.test, "test")
    elif a.validation is not None:
        values = a.evaluator(a.network, a.validation, "validation")
    clean, non_finite = _told_apart(values)
    return Finished(
        best_epoch=a.best.epoch or a.epoch,
        best_step=a.best.step or a.step,
        metrics=clean,
        non_finite=non_finite,
        early_stopped=a.step < a.total_steps,
    )


def _is_out_of_memory(fault: BaseException) -> bool:
    return isinstance(fault, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(fault)


class _Clock:
    """When to say where the run stands, how fast it is, and whether its time is up."""

    def __init__(self, a: Assembly) -> None:
        self._a = a
        self._began = self._next = time.monotonic()
        self._first_step = a.step
        self._limit_s = a.spec.training.time_limit_s or math.inf

    @property
    def elapsed_s(self) -> float:
        """Seconds of training over all attempts."""
        return self._a.elapsed_before_s + time.monotonic() - self._began

    def time_limit(self) -> StopReason | None:
        return StopReason.TIME_LIMIT if self._limit_s < math.inf and self.elapsed_s >= self._limit_s else None

    def is_due(self) -> bool:
        """True a few times a second."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _PROGRESS_EVERY_S
        return True

    def progress(self) -> Progress:
        a, seconds = self._a, time.monotonic() - self._began
        steps = a.step - self._first_step
        rate = steps / seconds if steps and seconds > 0 else None
        return Progress(
            epoch=a.epoch,
            epochs=a.spec.training.epochs,
            step=a.step,
            steps=a.total_steps,
            eta_s=(a.total_steps - a.step) / rate if rate else None,
            samples_per_s=rate * len(a.train) / a.batching.steps_per_epoch if rate else None,
        )
