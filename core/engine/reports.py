"""What a run tells of itself: its start, its rows, how it stops, fails and ends."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from core.engine.assembly import Assembly
from core.engine.folds import FoldResult, best_fold, summary
from core.engine.keeper import Keeper
from core.engine.steps.due import Evaluation, Story
from core.errors import TrainingFailed
from core.events import Event, Finished, Metrics, Progress, Started, Stopped, Warned
from core.states import StopReason

_PROGRESS_EVERY_S = 0.25


class Clock:
    """When to say where the run stands, how fast it is, and whether its time is up; one for all folds."""

    def __init__(self, limit_s: float | None, spent_s: float) -> None:
        self._limit_s = limit_s or math.inf
        self._spent_s = spent_s
        self._began = self._next = time.monotonic()

    def begin(self, a: Assembly) -> None:
        """Measures the speed of this training from here on."""
        self._fold_began, self._first_step = time.monotonic(), a.step

    @property
    def elapsed_s(self) -> float:
        """Seconds of training over all attempts."""
        return self._spent_s + time.monotonic() - self._began

    def time_limit(self) -> StopReason | None:
        return StopReason.TIME_LIMIT if self._limit_s < math.inf and self.elapsed_s >= self._limit_s else None

    def is_due(self) -> bool:
        """True a few times a second."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _PROGRESS_EVERY_S
        return True

    def progress(self, a: Assembly) -> Progress:
        """Epochs and steps of the whole run, all folds together."""
        seconds, steps = time.monotonic() - self._fold_began, a.step - self._first_step
        rate = steps / seconds if steps and seconds > 0 else None
        epochs = a.spec.training.epochs
        return Progress(
            epoch=(a.place.fold or 0) * epochs + a.epoch,
            epochs=a.place.folds * epochs,
            step=a.run_step,
            steps=a.run_steps,
            eta_s=(a.run_steps - a.run_step) / rate if rate else None,
            samples_per_s=rate * len(a.train) / a.batching.steps_per_epoch if rate else None,
        )


def started(a: Assembly, reasons: list[str]) -> Started:
    """The first event; `reasons` say why what follows is not bit for bit."""
    return Started(
        steps_per_epoch=a.batching.steps_per_epoch,
        total_steps=a.run_steps,
        resume_exact=not reasons,
        resume_note="; ".join(reasons) or None,
        environment=a.environment,
    )


def has_row_within(a: Assembly) -> bool:
    """Whether the history has a row of the training figures at this step, within an epoch."""
    every = a.spec.monitor.every_steps
    return bool(every and a.step % every == 0 and a.step_in_epoch)


def seen(a: Assembly) -> Iterator[Event]:
    """What the step just done looked like within the layers; its values join the row that is due at the same step."""
    values, warnings = a.watch.seen(_epochs_begun(a))
    yield from warned(a, warnings)
    if values and (has_row_within(a) or not a.step_in_epoch):
        a.watch.microscope.hold(values)
    elif values:
        yield row(a, values)


def warned(a: Assembly, warnings: Iterable[Warned]) -> Iterator[Warned]:
    """The warnings of a training with steps as the run counts them."""
    for each in warnings:
        yield each if each.step is None else replace(each, step=a.place.first_step + each.step)


def _epochs_begun(a: Assembly) -> int:
    return math.ceil(a.step / a.batching.steps_per_epoch)


def penalty(a: Assembly) -> dict[str, float]:
    """What the weights add to the objective, where they do."""
    return {"train.penalty": float(a.learner.penalty())} if a.learner.has_penalty else {}


def row(a: Assembly, values: dict[str, float]) -> Metrics:
    """One row of the history; epochs are those of the fold, steps those of the run."""
    clean, non_finite = _told_apart(values | a.watch.microscope.take_held())
    return Metrics(
        epoch=_epochs_begun(a),
        step=a.run_step,
        values=clean,
        non_finite=non_finite,
        time=time.time(),
        fold=a.place.fold,
    )


def _told_apart(values: dict[str, float]) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """The values with None for what is not finite, and the names of those."""
    clean = {name: value if math.isfinite(value) else None for name, value in values.items()}
    return clean, tuple(name for name, value in clean.items() if value is None)


def stop(a: Assembly, keeper: Keeper, clock: Clock, reason: StopReason) -> Iterator[Event]:
    """The state as it stands, written down, and why; one that is not finite would spoil the last that is."""
    if not a.is_finite():
        yield from diverge(a, keeper, clock)
    yield clock.progress(a)
    yield from keeper.write(a.snapshot(elapsed_s=clock.elapsed_s))
    if reason is StopReason.TIME_LIMIT:
        limit = a.spec.training.time_limit_s
        raise TrainingFailed(
            f"the time limit of {limit:g} s was reached at step {a.run_step} of {a.run_steps}",
            code="time_limit",
            pointer="/training/time_limit_s",
            hint="raise time_limit_s, or ask for fewer epochs; the last checkpoint holds the work",
            epoch=a.epoch,
        )
    yield Stopped(reason=reason.value, epoch=a.epoch, step=a.run_step)


def diverge(a: Assembly, keeper: Keeper, clock: Clock) -> Iterator[Event]:
    """Where the run stands, the last finite state if it was only held, the row that shows it, and the reason."""
    yield clock.progress(a)
    yield from keeper.flush()
    values = a.tally.end_epoch()
    yield row(a, values | {"train.loss": math.nan})
    epoch = _epochs_begun(a)
    yield from warned(a, a.watch.diagnosis.diverged(epoch, a.step))
    raise TrainingFailed(
        f"the loss or a weight became infinite or NaN in epoch {epoch}, at step {a.run_step} or shortly before",
        code="diverged",
        pointer="/optimizer/lr",
        hint=f"lower the learning rate of {a.spec.optimizer.lr:g}, clip gradients, or scale features and target",
        epoch=epoch,
    )


def finished(a: Assembly) -> Story:
    """The figures of the best state on rows never seen: those of the test part, else of the validation part."""
    a.take_best()
    values: dict[str, float] = {}
    rows, split = (a.test, "test") if a.test is not None else (a.validation, "validation")
    if rows is not None:
        evaluation = Evaluation(a, rows, split)
        yield evaluation
        values = evaluation.values
    clean, non_finite = _told_apart(values)
    yield Finished(
        best_epoch=a.best.epoch or a.epoch,
        best_step=a.best.step or a.step,
        metrics=clean,
        non_finite=non_finite,
        early_stopped=a.step < a.total_steps,
    )


def fold_result(a: Assembly) -> FoldResult:
    """What the fold that has just ended came to, judged by its best state."""
    a.take_best()
    values = a.evaluate(a.validation, "validation") if a.validation is not None else {}
    values |= a.evaluate(a.test, "test") if a.test is not None else {}
    return FoldResult(
        epoch=a.best.epoch or a.epoch,
        step=a.place.first_step + (a.best.step or a.step),
        value=a.best.value,
        metrics=_told_apart(values)[0],
        early_stopped=a.step < a.total_steps,
        warned=tuple(sorted({*a.watch.diagnosis.codes, *(each.code for each in a.warnings)})),
    )


def finished_folds(results: Sequence[FoldResult], *, upwards: bool) -> Finished:
    """The means over the folds, and their spread; `best` is the fold whose model is kept and predicts."""
    best = best_fold(results, upwards=upwards)
    # without a best state to keep, the last one is what there is
    chosen = len(results) - 1 if best is None else best
    folds = summary(results, chosen)
    means = {name: figures["mean"] for name, figures in folds["metrics"].items()}
    return Finished(
        best_epoch=results[chosen].epoch,
        best_step=results[chosen].step,
        metrics=means,
        non_finite=tuple(name for name, mean in means.items() if mean is None),
        early_stopped=any(result.early_stopped for result in results),
        folds=folds,
    )
