"""How large and how long a run is: rows, steps, bytes, seconds; and the limits on them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.spec.data import DataSpec, SplitSpec
from core.spec.dataset import DatasetSchema
from core.spec.findings import Findings
from core.spec.folds import sizes_of_folds
from core.spec.job import JobSpec
from core.spec.labels import Label
from core.spec.limits import Limits
from core.spec.optimizers import LBFGS, SGD, Adam, AdamW, Muon, Optimizer, RMSprop
from core.spec.shapes import Body
from core.spec.windows import window_sizes

_STEP_S = 80e-6  # what a step costs beside its arithmetic, measured on one core
_LAYER_S = 10e-6  # and each layer in it, beyond the few of a small network
_FEW_LAYERS = 6
_FLOPS_PER_S = 8e10  # one core, forward and backward
_VALUES_PER_S = 2.5e8  # outputs of layers written and read, there and back: what convolutions wait for
_EPOCH_S = 2e-3  # evaluation and bookkeeping of one epoch
_EVALUATION_ROWS = 2048
_EVALUATION_VALUES = 2**26
_FIXED_S = 0.15  # from the queue to the first step


@dataclass(frozen=True, slots=True)
class Sizes:
    """Figures of one run; `split_sizes` are an estimate where groups decide.

    Of a run in folds those of its largest, each fold's in `fold_sizes` (empty without folds); steps and seconds are of
    all.
    """

    split_sizes: dict[str, int]
    fold_sizes: tuple[dict[str, int], ...]
    steps_per_epoch: int
    total_steps: int
    memory_bytes: int
    time_estimate_s: float
    schedule_steps: int
    """Steps that the schedule spans: of one fold."""


def validates(split: SplitSpec, schema: DatasetSchema) -> bool:
    """Whether there will be validation rows."""
    return split.folds is not None or split.validation > 0 or "validation" in _marked(split, schema)


def split_sizes(rows: int, split: SplitSpec, marked: dict[object, int] | None = None) -> dict[str, int]:
    """Rows of each part, rounded; `marked` are the rows that split.column gives to each, None without one."""
    if marked is None:
        test, validation = _share(rows, split.test), _share(rows, split.validation)
        return {"train": rows - validation - test, "validation": validation, "test": test}
    train, validation = marked.get("train", 0), marked.get("validation", 0)
    if not validation:
        # the fraction is taken out of what the column gives to training
        validation = _share(train, split.validation)
        train -= validation
    return {"train": train, "validation": validation, "test": marked.get("test", 0)}


def _share(rows: int, fraction: float) -> int:
    """Rounded half up, and at least one row of a part that is asked for."""
    return max(1, int(rows * fraction + 0.5)) if fraction > 0 else 0


def _marked(split: SplitSpec, schema: DatasetSchema) -> dict[object, int]:
    column = (schema.column(split.column) or schema.array("split")) if split.column is not None else None
    if column is None or column.categories is None or column.counts is None:
        return {}
    return dict(zip(column.categories, column.counts, strict=True))


def normal_alone(parts: dict[str, int], data: DataSpec, label: Label | None) -> dict[str, int]:
    """Rows of each part where normal rows alone train and validate: an estimate from their share."""
    if label is None or data.train_on is None or label.normal_share is None:
        return parts
    kept = {name: round(parts[name] * label.normal_share) for name in ("train", "validation")}
    by_chance = not (data.split.column or data.split.group or data.split.order_by)
    others = parts["train"] + parts["validation"] - sum(kept.values()) if by_chance else 0
    return {**kept, "test": parts["test"] + others}


_NOUNS = {"train": "training", "validation": "validation", "test": "test"}


def _check_parts(spec: JobSpec, schema: DatasetSchema, parts: dict[str, int], findings: Findings) -> None:
    """Faults for a part that has nothing to train or, of windows, to evaluate on."""
    window = spec.data.window
    if window is None:
        if parts["train"] < 1:
            findings.fault(
                "/data/split",
                "no_training_rows",
                f"received {schema.rows} rows, {parts['validation']} of them for validation and {parts['test']} for "
                "test, expected at least 1 to train on; do lower the fractions",
                needs=("/data/dataset", "/data/split/column"),
            )
        return
    rows = split_sizes(schema.rows, spec.data.split, _marked(spec.data.split, schema) or None)
    empty = [name for name in rows if parts[name] < 1 and (rows[name] > 0 or name == "train")]
    if empty:
        seen = " and ".join(f"{max(rows[name], 0)} rows for {_NOUNS[name]}" for name in empty)
        findings.fault(
            "/data/window/length",
            "no_training_rows" if "train" in empty else "no_windows",
            f"received windows of {window.length} rows to look at and {window.horizon} to predict, and {seen}, "
            "expected room for one window at least in each part that has rows; do lower length or horizon, or divide "
            "the rows otherwise",
            needs=("/data/dataset", "/data/split", "/data/window"),
        )


def measure(
    spec: JobSpec, body: Body, schema: DatasetSchema, limits: Limits, findings: Findings, *, label: Label | None = None
) -> Sizes:
    """All sizes of a run; those beyond the limits are faults that say the figure."""
    training = spec.training
    if training.epochs > limits.epochs:
        findings.exceeded(
            "/training/epochs", "too_many_epochs", f"{training.epochs} epochs", limits.epochs, do="lower it"
        )
    parts = normal_alone(_parts(spec, schema), spec.data, label)
    folds: tuple[dict[str, int], ...] = ()
    if spec.data.split.folds:
        folds = sizes_of_folds(parts["train"] + parts["validation"], parts["test"], spec.data.split)
        parts = max(folds, key=lambda fold: fold["train"])
    _check_parts(spec, schema, parts, findings)
    rows = max(parts["train"], 1)
    wanted = rows if training.batch_size == "full" else training.batch_size
    batch = min(wanted, rows)
    if wanted > limits.batch_size:
        findings.exceeded(
            "/training/batch_size", "batch_too_large", f"{wanted} samples", limits.batch_size, do="lower it"
        )
    steps_per_epoch = math.ceil(rows / batch)
    steps = [max(1, math.ceil(fold["train"] / min(wanted, max(fold["train"], 1)))) for fold in folds or (parts,)]
    total_steps = sum(steps) * training.epochs
    if total_steps > limits.steps:
        in_folds = f" in {len(folds)} folds" if folds else ""
        what = f"{training.epochs} epochs of {steps_per_epoch} steps{in_folds} = {total_steps} steps"
        findings.exceeded(
            "/training/epochs", "too_many_steps", what, limits.steps, do="train fewer epochs or larger batches"
        )
    memory = _memory(
        spec, body, limits, findings, rows=schema.rows, batch=batch, compared=max(parts["validation"], parts["test"])
    )
    seconds = sum(_seconds(spec, body, *each) for each in zip(folds or (parts,), steps, strict=True))
    return Sizes(
        parts, folds, steps_per_epoch, total_steps, memory, round(_FIXED_S + seconds, 3), max(steps) * training.epochs
    )


def evaluation_rows(values_per_row: int) -> int:
    """Rows that are evaluated at once: 2048, fewer where the layers' outputs would take more than 256 MB in float32."""
    return max(1, min(_EVALUATION_ROWS, _EVALUATION_VALUES // max(1, values_per_row)))


def _parts(spec: JobSpec, schema: DatasetSchema) -> dict[str, int]:
    """Samples of each part: rows, or the windows that fit into the rows of each series."""
    split, window = spec.data.split, spec.data.window
    marked = _marked(split, schema) or None
    if window is None:
        return split_sizes(schema.rows, split, marked)
    column = schema.column(window.series) if window.series is not None else None
    if split.group is not None or marked is not None or column is None or column.counts is None:
        return window_sizes([split_sizes(schema.rows, split, marked)], window)
    return window_sizes([split_sizes(rows, split) for rows in column.counts], window)


def _memory(
    spec: JobSpec, body: Body, limits: Limits, findings: Findings, *, rows: int, batch: int, compared: int
) -> int:
    """Bytes of data (with its permuted copy), weights, gradients, best weights, optimizer state and activations."""
    item = 8 if spec.training.dtype == "float64" else 4
    inputs = math.prod(body.input_shape or ())
    values = inputs + body.stored_values
    activations = 2 * item * batch * values
    if activations > limits.activation_bytes:
        what = f"a batch of {batch} samples whose activations take {activations} bytes"
        findings.exceeded(
            "/training/batch_size",
            "activations_too_large",
            what,
            limits.activation_bytes,
            do="lower it",
            needs=("/network",),
        )
    activations = max(activations, item * min(rows, evaluation_rows(values)) * values)
    data = 2 * item * rows * (inputs + 2)
    if (window := spec.data.window) is not None:
        # windows are views of the rows, but of several series copies; forecasts of a part are compared in double
        outputs = math.prod(body.output_shape or ())
        copied = window.series is not None
        data = item * rows * (2 * inputs // window.length + (inputs if copied else 0)) + 4 * 8 * compared * outputs
    weights = item * body.parameters * (3 + optimizer_slots(spec.optimizer))
    total = activations + data + weights
    if total > limits.memory_bytes:
        largest = max((activations, "activations"), (data, "data"), (weights, "weights and optimizer"))[1]
        where = {"activations": "/training/batch_size", "data": "/data/dataset"}.get(largest, "/network")
        what = f"a run of {total} bytes, most of them {largest}"
        findings.exceeded(
            where, "too_much_memory", what, limits.memory_bytes, do="make it smaller", needs=("/network",)
        )
    return total


def optimizer_slots(optimizer: Optimizer) -> int:
    """Numbers that an optimizer remembers for each weight."""
    match optimizer:
        case SGD():
            return 1 if optimizer.momentum else 0
        case RMSprop():
            return 1 + (optimizer.momentum > 0) + optimizer.centered
        case Adam() | AdamW():
            return 3 if optimizer.amsgrad else 2
        case LBFGS():
            return 2 * optimizer.history_size + 3
        case Muon():
            return 2
        case _:
            return 1 if optimizer.type == "adagrad" else 2


def _seconds(spec: JobSpec, body: Body, parts: dict[str, int], steps_per_epoch: int) -> float:
    """A first guess on one core: forward and backward are three forward passes, evaluation is one."""
    inner = spec.optimizer.max_iter if isinstance(spec.optimizer, LBFGS) else 1
    passes = inner * parts["train"] + parts["validation"] / 3
    sample = 3 * body.flops / _FLOPS_PER_S + body.stored_values / _VALUES_PER_S
    if spec.training.dtype == "float64":
        sample *= 2
    step = _STEP_S + _LAYER_S * max(0, body.depth - _FEW_LAYERS)
    per_epoch = passes * sample + inner * step * steps_per_epoch + _EPOCH_S
    return per_epoch * spec.training.epochs
