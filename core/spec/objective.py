"""What a run optimises and reports: the loss and the metrics of its task, and what may be watched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from core.spec.base import Shape
from core.spec.dataset import Category, DatasetSchema
from core.spec.findings import Findings, nearest, one_of, show
from core.spec.job import JobSpec
from core.spec.losses import (
    BCE,
    BINARY_LOSSES,
    CLASSIFICATION_LOSSES,
    MSE,
    RECONSTRUCTION_LOSSES,
    REGRESSION_LOSSES,
    AutoLoss,
    CrossEntropy,
    Loss,
)
from core.spec.metrics import METRICS, Metric, Task, always_reported, metric_info, needs_label, top_k
from core.spec.network_base import NetworkBase
from core.spec.roles import Roles
from core.spec.schedules import PlateauSchedule

LOSSES_OF: dict[Task, frozenset[str]] = {
    "classification": CLASSIFICATION_LOSSES,
    "regression": REGRESSION_LOSSES,
    "reconstruction": RECONSTRUCTION_LOSSES,
}
_SMOOTHED = frozenset({"auto", "cross_entropy", "bce"})
_RESTS_ON = ("/task", "/data/target", "/data/dataset")


def resolve_loss(spec: JobSpec, roles: Roles, schema: DatasetSchema | None, findings: Findings) -> Loss:
    """The loss with its type decided and class weights in the order of the classes."""
    loss, task = spec.loss, roles.task
    if task is None:
        return loss
    allowed = LOSSES_OF[task] - (BINARY_LOSSES if roles.classes and len(roles.classes) > 2 else frozenset())
    if not isinstance(loss, AutoLoss) and loss.type not in allowed:
        findings.fault(
            "/loss/type",
            "wrong_task",
            f"received {loss.type} for {_what(roles)}, expected {one_of(sorted(allowed))}; do choose one or auto",
            needs=_RESTS_ON,
        )
        return loss
    _check_class_options(loss, task, findings)
    if loss.type == "poisson" and schema is not None:
        _check_counts(roles, schema, findings)
    weights = _class_weights(loss.class_weight, roles.classes, findings)
    if isinstance(loss, AutoLoss):
        return _decide(loss, roles, spec.network).model_copy(
            update={"reduction": loss.reduction, "label_smoothing": loss.label_smoothing, "class_weight": weights}
        )
    return loss.model_copy(update={"class_weight": weights})


def _what(roles: Roles) -> str:
    return f"{len(roles.classes)} classes" if roles.classes else f"the task {roles.task}"


def _decide(loss: AutoLoss, roles: Roles, network: NetworkBase) -> Loss:
    if roles.task != "classification":
        return MSE()
    if roles.classes is None:
        return loss
    two_logits = network.head is not None and _last_known([layer.shape_of_any() for layer in network.head]) == (2,)
    return BCE() if len(roles.classes) == 2 and not two_logits else CrossEntropy()


def _last_known(shapes: Sequence[Shape | None]) -> Shape | None:
    return next((shape for shape in reversed(shapes) if shape is not None), None)


def _check_class_options(loss: Loss, task: Task, findings: Findings) -> None:
    if loss.label_smoothing and (task != "classification" or loss.type not in _SMOOTHED):
        what = f"the loss {loss.type}" if task == "classification" else f"the task {task}"
        findings.fault(
            "/loss/label_smoothing",
            "wrong_task",
            f"received {loss.label_smoothing:g} for {what}, expected 0 but for cross_entropy and bce; do set it to 0",
            needs=(*_RESTS_ON, "/loss/type"),
        )
    if loss.class_weight is not None and task != "classification":
        findings.fault(
            "/loss/class_weight",
            "wrong_task",
            f"received class weights for the task {task}, expected none; do set it to null",
            needs=_RESTS_ON,
        )


def _check_counts(roles: Roles, schema: DatasetSchema, findings: Findings) -> None:
    for name in roles.data.targets:
        column = schema.column(name)
        if column is not None and column.min is not None and column.min < 0:
            findings.fault(
                "/loss/type",
                "negative_target",
                f"received poisson for the target {show(name)} that begins at {column.min:g}, expected counts from 0; "
                "do choose another loss",
            )


def label(value: Category) -> str:
    """A class as it stands as a key in JSON."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _class_weights(
    given: str | Mapping[str, float] | Sequence[float] | None, classes: Sequence[Category] | None, findings: Findings
) -> str | tuple[float, ...] | None:
    """In the order of the classes; one that an object leaves out weighs 1."""
    if given is None or isinstance(given, str):
        return given
    if classes is None:
        return None
    if not isinstance(given, Mapping):
        if len(given) != len(classes):
            findings.fault(
                "/loss/class_weight",
                "wrong_length",
                f"received {len(given)} weights, expected {len(classes)}, one a class in the order "
                f"{', '.join(label(each) for each in classes[:20])}; do give each class one",
                needs=_RESTS_ON,
            )
        return _weighing(tuple(given), findings)
    labels = [label(each) for each in classes]
    for name in given:
        if name not in labels:
            near = nearest(name, labels)
            findings.fault(
                "/loss/class_weight/" + name.replace("~", "~0").replace("/", "~1"),
                "unknown_class",
                f"received the class {show(name)}, expected {one_of(labels)}; do "
                + (f"write {near} (did you mean it?)" if near else "remove it"),
                needs=_RESTS_ON,
            )
    return _weighing(tuple(given.get(name, 1.0) for name in labels), findings)


def _weighing(weights: tuple[float, ...], findings: Findings) -> tuple[float, ...]:
    """The weights, of which one class at least must have some, or there is nothing to learn."""
    if weights and not any(weights):
        findings.fault(
            "/loss/class_weight",
            "no_weight",
            "received 0 for every class, expected a weight above 0 for one at least; do raise those that count",
            needs=_RESTS_ON,
        )
    return weights


def resolve_metrics(spec: JobSpec, roles: Roles, findings: Findings) -> tuple[Metric, ...] | None:
    """What the task always reports, then what was asked for; None while the task is unknown."""
    task = roles.task
    if task is None:
        return spec.metrics
    binary = roles.label is not None or (roles.classes is not None and len(roles.classes) == 2)
    known = [name for name, info in METRICS.items() if _applies(name, roles) and (binary or not info.binary_only)]
    for index, name in enumerate(spec.metrics or ()):
        info = metric_info(name)
        assert info is not None, "the spec takes no other names"
        k = top_k(name)
        if k is not None and roles.classes is not None and k > len(roles.classes):
            findings.fault(
                f"/metrics/{index}",
                "too_many_classes",
                f"received {name} for {len(roles.classes)} classes, expected k of {len(roles.classes)} at most; do "
                "lower k",
                needs=_RESTS_ON,
            )
        if not _applies(name, roles) or (info.binary_only and not binary):
            what = f"{len(roles.classes)} classes" if roles.classes and task in info.tasks else f"the task {task}"
            what += " without a label (data.target)" if needs_label(task, name) else ""
            findings.fault(
                f"/metrics/{index}",
                "wrong_task",
                f"received {name} for {what}, expected {one_of(known)}; do choose one of them",
                needs=_RESTS_ON,
            )
    always = always_reported(task, binary=binary, window=spec.data.window is not None)
    return tuple(dict.fromkeys((*always, *(spec.metrics or ()))))


def check_watched(
    spec: JobSpec, roles: Roles, metrics: Sequence[Metric] | None, validates: bool, findings: Findings
) -> None:
    """What early stopping and the plateau schedule watch is there to be watched."""
    if roles.task is None or metrics is None:
        return
    known = ["train.loss", *(["train.accuracy"] if roles.task == "classification" else [])]
    if validates:
        seen = [name for name in metrics if _applies(name, roles)]
        if roles.data.train_on is not None:
            # no anomaly validates
            seen = [name for name in seen if not needs_label(roles.task, name)]
        known += ["validation.loss", *(f"validation.{name}" for name in seen)]
    watched = {}
    if spec.training.early_stopping is not None:
        watched["/training/early_stopping/monitor"] = spec.training.early_stopping.monitor
    if isinstance(spec.schedule, PlateauSchedule):
        watched["/schedule/monitor"] = spec.schedule.monitor
    for where, name in watched.items():
        if name in known:
            continue
        split, _, metric = name.partition(".")
        if split == "validation" and not validates:
            advice = "set data.split.validation above 0"
        elif split == "test":
            advice = "watch validation: what chooses by the test rows no longer tests"
        elif split == "validation" and _applies(metric, roles):
            advice = f"add {metric} to metrics"
        else:
            near = nearest(name, known)
            advice = f"write {near} (did you mean it?)" if near else "choose one of them"
        findings.fault(
            where,
            "not_reported",
            f"received {name}, expected a figure that this run reports: {one_of(known)}; do {advice}",
            needs=("/metrics", "/data/split", *_RESTS_ON),
        )


def _applies(name: str, roles: Roles) -> bool:
    info = metric_info(name)
    if info is None or roles.task is None or roles.task not in info.tasks:
        return False
    return roles.label is not None or not needs_label(roles.task, name)


def check_rates(spec: JobSpec, findings: Findings) -> None:
    """The schedule fits the optimizer."""
    floor = getattr(spec.schedule, "min_lr", 0.0)
    if floor > spec.optimizer.lr and not math.isclose(floor, spec.optimizer.lr):
        findings.fault(
            "/schedule/min_lr",
            "above_peak",
            f"received {floor:g} with optimizer.lr {spec.optimizer.lr:g}, expected at most optimizer.lr; do lower it",
            needs=("/optimizer", "/schedule"),
        )
