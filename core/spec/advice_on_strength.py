"""Warnings about settings that are too strong, and about rows that are too few, for anything to be learnt."""

from __future__ import annotations

from core.spec.dataset import Column
from core.spec.findings import Findings
from core.spec.job import JobSpec
from core.spec.layer_types.basic import Dropout
from core.spec.optimizers import AdamW, Muon
from core.spec.roles import Roles
from core.spec.shapes import Body
from core.spec.sizes import Sizes

_MUCH_DROPPED = 0.8
_STRONG = {"l1": 0.5, "l2": 1.0}
_SHRINKS = 0.1  # of a weight's length in one step
_HARDLY, _MADE_RARER = 0.02, 0.2
_USUAL_BATCH = 32
_FEW_ROWS = 10
_FAR = 10.0


def advise_on_strength(
    spec: JobSpec, roles: Roles, body: Body, sizes: Sizes, *, targets: list[Column], findings: Findings
) -> None:
    """Add the warnings about figures that are sound by themselves and leave nothing to learn."""
    _advise_on_dropout(body, findings)
    # a loss in thousands outweighs a penalty
    far = any(max(abs(column.mean or 0.0), column.std or 0.0) > _FAR for column in targets)
    if roles.task != "regression" or spec.data.preprocess.target_scale != "none" or not far:
        _advise_on_penalties(spec, findings)
    _advise_on_rows(spec, sizes, findings)
    if roles.task == "regression":
        _advise_on_one_hot(targets, findings)


def _advise_on_dropout(body: Body, findings: Findings) -> None:
    for layer, planned in zip(body.layers, body.planned, strict=True):
        if isinstance(layer, Dropout) and layer.p >= _MUCH_DROPPED:
            findings.warn(
                "dropout_too_high",
                planned.origin,
                f"dropout of {layer.p:g} leaves {1 - layer.p:.2g} of the values at each step, and scales them by "
                f"{1 / (1 - layer.p):.3g}; take 0.1 to 0.5",
            )


def _advise_on_penalties(spec: JobSpec, findings: Findings) -> None:
    for name, most in _STRONG.items():
        strength = getattr(spec.regularization, name)
        if strength >= most:
            findings.warn(
                "regularization_too_strong",
                f"/regularization/{name}",
                f"a penalty of {strength:g} times the sum of {'squared' if name == 'l2' else 'absolute'} weights "
                "outweighs the loss, so weights go to 0 and nothing is learnt; begin with 0.0001",
            )
    optimizer = spec.optimizer
    decay = optimizer.weight_decay if hasattr(optimizer, "weight_decay") else 0.0
    decoupled = isinstance(optimizer, AdamW | Muon)
    # a usual decay shrinks by much only where the rate is too high, which is said by itself
    too_strong = decay >= _SHRINKS <= optimizer.lr * decay if decoupled else decay >= 2 * _STRONG["l2"]
    if too_strong:
        does = (
            f"takes {min(optimizer.lr * decay, 1):.0%} off every weight at each step"
            if decoupled
            else "outweighs the loss"
        )
        findings.warn(
            "regularization_too_strong",
            "/optimizer/weight_decay",
            f"a weight decay of {decay:g} {does}, so nothing is learnt; begin with 0.01",
        )


def advise_on_class_weight(spec: JobSpec, roles: Roles, counts: tuple[int, ...] | None, findings: Findings) -> None:
    """Weights that take a class out of the loss; `counts` are the rows of each class."""
    weights = spec.loss.class_weight
    if not isinstance(weights, tuple) or not roles.classes or not counts or len(weights) != len(counts):
        return
    shares = [weight * count for weight, count in zip(weights, counts, strict=True)]
    whole, rows = sum(shares), sum(counts)
    if not whole:
        return
    least = min(range(len(shares)), key=shares.__getitem__)
    share, natural = shares[least] / whole, counts[least] / rows
    if share < _HARDLY and share < _MADE_RARER * natural:
        findings.warn(
            "class_weight_extreme",
            "/loss/class_weight",
            f"the class {roles.classes[least]!r} has {natural:.1%} of the rows and with these weights {share:.2g} of "
            "the loss, so it is hardly ever called; set class_weight to balanced",
        )


def _advise_on_rows(spec: JobSpec, sizes: Sizes, findings: Findings) -> None:
    train, batch = sizes.split_sizes["train"], spec.training.batch_size
    if isinstance(batch, int) and batch > max(train, _USUAL_BATCH):
        findings.warn(
            "batch_larger_than_data",
            "/training/batch_size",
            f"a batch of {batch} of {train} training rows: every epoch is one step over all rows; lower it, or train "
            "for more epochs",
        )
    few = {name: rows for name in ("validation", "test") if 0 < (rows := sizes.split_sizes[name]) < _FEW_ROWS}
    if few:
        said = " and ".join(f"{rows} {name} rows" for name, rows in few.items())
        findings.warn(
            "few_rows",
            "/data/split",
            f"{said}: figures of so few are mostly chance; use split.folds, or a larger part of more rows",
        )


def _advise_on_one_hot(targets: list[Column], findings: Findings) -> None:
    marks = [column for column in targets if (column.min, column.max) == (0.0, 1.0) and column.distinct == 2]
    if len(marks) == len(targets) > 1 and abs(sum(column.mean or 0.0 for column in marks) - 1) < 1e-6:
        findings.warn(
            "one_hot_target",
            "/data/target",
            f"the {len(targets)} targets are 0 or 1 and add up to one: the one-hot code of classes, learnt as numbers; "
            "send one column with the class of each row, which is one-hot encoded by itself, and name it",
        )
