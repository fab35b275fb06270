"""The label of a reconstruction: a target that is not learnt, and tells which rows are anomalies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.spec.data import DataSpec
from core.spec.dataset import Category
from core.spec.findings import Findings, nearest, one_of, show

_MANY_ANOMALIES = 0.01  # fewer hardly teach anything
_NEEDS = ("/data/target", "/task", "/data/dataset")


@dataclass(frozen=True, slots=True)
class Label:
    """A label's classes on both sides, in the order of the data set. `normal_share` of the rows are normal."""

    name: str
    normal: tuple[Category, ...]
    anomalies: tuple[Category, ...]
    normal_share: float | None = None


def train_on_of(data: DataSpec) -> tuple[Category, ...]:
    """The classes that alone train, as a tuple; empty when all rows do."""
    if data.train_on is None:
        return ()
    return data.train_on if isinstance(data.train_on, tuple) else (data.train_on,)


def normal_classes(data: DataSpec, classes: Sequence[Category]) -> tuple[Category, ...]:
    """Those of train_on; without it the first of two."""
    wanted = {_key(each) for each in train_on_of(data)}
    return tuple(each for each in classes if _key(each) in wanted) if wanted else tuple(classes[:1])


def resolve_label(
    data: DataSpec,
    name: str,
    categories: tuple[Category, ...] | None,
    counts: Sequence[int] | None,
    findings: Findings,
) -> Label | None:
    """The label of a reconstruction's target; faults go to `findings`."""
    if categories is None or len(categories) < 2:
        findings.fault(
            "/data/target",
            "no_classes",
            f"received {show(name)} as the label of a reconstruction, expected 2 to 1,000 classes (strings, booleans "
            "or integers); do choose another column, or set target to null",
            needs=_NEEDS,
        )
        return None
    if not _check_train_on(data, categories, findings):
        return None
    if data.train_on is None and len(categories) > 2:
        findings.fault(
            "/data/target",
            "too_many_classes",
            f"received the label {show(name)} of {len(categories)} classes, expected two, of which the second are the "
            "anomalies; do name the normal ones in data.train_on, or set target to null",
            needs=_NEEDS,
        )
        return None
    normal = normal_classes(data, categories)
    share = None
    if counts:
        share = sum(n for each, n in zip(categories, counts, strict=True) if each in normal) / max(sum(counts), 1)
    if data.train_on is None and share is not None and 1 - share >= _MANY_ANOMALIES:
        also, alone = (", ".join(show(each) for each in some) for some in (categories[1:], normal))
        findings.warn(
            "anomalies_in_training",
            "/data/train_on",
            f"{1 - share:.1%} of the rows are anomalies ({show(name)} {also}) and train too, so that the network "
            f"learns to reproduce them; set train_on to {alone} to train on normal rows alone",
        )
    return Label(name, normal, tuple(each for each in categories if each not in normal), share)


def refuse_train_on(data: DataSpec, why: str, findings: Findings) -> None:
    """train_on has a meaning in a labelled reconstruction alone."""
    if data.train_on is not None:
        findings.fault(
            "/data/train_on",
            "wrong_task",
            f"received train_on {why}, expected it with the task reconstruction and a target that names the classes; "
            "do leave it out",
            needs=_NEEDS,
        )


def _check_train_on(data: DataSpec, categories: tuple[Category, ...], findings: Findings) -> bool:
    wanted, known = train_on_of(data), {_key(each): str(each) for each in categories}
    unknown = [each for each in wanted if _key(each) not in known]
    for each in unknown:
        near = nearest(str(each), known.values())
        findings.fault(
            "/data/train_on",
            "unknown_class",
            f"received the class {show(each)}, expected {one_of(list(known.values()))}; do "
            + (f"write {near} (did you mean it?)" if near else "name classes of the target"),
            needs=_NEEDS,
        )
    if not unknown and len({_key(each) for each in wanted}) == len(categories):
        findings.fault(
            "/data/train_on",
            "no_anomalies",
            "received every class of the target, expected one at least that is left to test; do remove some",
            needs=_NEEDS,
        )
        return False
    return not unknown


def _key(value: Category) -> tuple[str, str]:
    """Classes are the same when their kind is: true is not 1, and "1" is not 1."""
    return type(value).__name__, str(value)
