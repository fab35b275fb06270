"""Warnings: what is allowed, but probably not what is wanted; each with a pointer and a remedy."""

from __future__ import annotations

import math

from core.spec.advice_on_output import advise_on_output
from core.spec.advice_on_strength import advise_on_class_weight, advise_on_strength
from core.spec.dataset import Column, DatasetSchema
from core.spec.findings import Findings
from core.spec.inits import Constant, Zeros
from core.spec.job import JobSpec
from core.spec.roles import Roles
from core.spec.schedules import MultiStepSchedule
from core.spec.shapes import Body, collapses
from core.spec.sizes import Sizes

_HIGHEST_LR = {"sgd": 1.0, "adadelta": 10.0, "lbfgs": 2.0, "adagrad": 1.0, "muon": 0.5}
_HIGHEST_LR_OF_OTHERS = 0.1
_MANY_SIGMOIDS = 4
_RARE = 0.2  # of an equal share
_MANY_WEIGHTS = 100
_FAR = 10.0
_COLOURS = (1, 3, 4)  # channels of images that are looked at
_OWN = ", or leave the last of your own out: the output layer follows from the task"


def advise(spec: JobSpec, roles: Roles, body: Body, sizes: Sizes, *, schema: DatasetSchema, findings: Findings) -> None:
    """Add the warnings of a sound job."""
    targets = [column for name in roles.data.targets if (column := schema.column(name)) is not None]
    _advise_on_layers(body, roles, findings)
    _advise_on_images(body, findings)
    advise_on_output(spec, roles, body, targets, findings)
    _advise_on_steps(spec, body, sizes, findings)
    _advise_on_precision(spec, findings)
    _advise_on_rows(body, sizes, findings)
    advise_on_strength(spec, roles, body, sizes, targets=targets, findings=findings)
    _advise_on_target(spec, roles, targets, schema=schema, findings=findings)


def _advise_on_layers(body: Body, roles: Roles, findings: Findings) -> None:
    narrowest = min((math.prod(planned.output_shape) for planned in body.planned), default=0)
    for first, last in collapses(body):
        if roles.task == "reconstruction" and math.prod(first.output_shape) == narrowest:
            continue  # a code between linear maps: what it has fewer axes for is lost, and that is the point
        findings.warn(
            "linear_stack",
            last.origin,
            f"layers {first.index}-{last.index} have no nonlinearity between them and collapse into one linear map; "
            "put an activation such as relu between them" + (_OWN if last.origin == "/network/head" else ""),
        )
    squashing = [planned for layer, planned in zip(body.layers, body.planned, strict=True) if layer.type == "sigmoid"]
    normed = any(each.normalises for layer in body.layers for each in layer.everything())
    if len(squashing) >= _MANY_SIGMOIDS and not normed:
        findings.warn(
            "vanishing_gradients",
            squashing[-1].origin,
            f"{len(squashing)} {squashing[-1].type} layers: the derivative of each sigmoid is at most 1/4, so "
            "gradients "
            f"shrink up to {4 ** len(squashing)} times on their way to the first layer; use relu, or batch_norm "
            "between",
        )
    hidden = list(zip(body.layers, body.planned, strict=True))[: body.head_at]
    for layer, planned in hidden:
        units = getattr(layer, layer.widths[0], 0) if layer.linear_map and layer.widths else 0
        if units > 1 and isinstance(getattr(layer, "init", None), Zeros | Constant):
            findings.warn(
                "symmetric_init",
                planned.origin,
                f"the {units} units of layer {planned.index} begin the same, get the same gradients and stay "
                "the same; "
                "use a random init",
            )
            break


def _advise_on_images(body: Body, findings: Findings) -> None:
    """Images whose channels come last, as TensorFlow has them."""
    shape = body.input_shape or ()
    convolves = any(planned.type.endswith("2d") for planned in body.planned)
    if convolves and len(shape) == 3 and shape[2] in _COLOURS and shape[0] not in _COLOURS:
        findings.warn(
            "channels_last",
            "/data/dataset",
            f"samples of shape {list(shape)} are taken for {shape[0]} channels of {shape[1]} x {shape[2]} pixels; if "
            'channels come last, upload with channels=last, or put {"type": "permute", "axes": [2, 0, 1]} in front',
        )


def _advise_on_steps(spec: JobSpec, body: Body, sizes: Sizes, findings: Findings) -> None:
    highest = _HIGHEST_LR.get(spec.optimizer.type, _HIGHEST_LR_OF_OTHERS)
    if spec.optimizer.lr > highest:
        findings.warn(
            "lr_too_high",
            "/optimizer/lr",
            f"a learning rate of {spec.optimizer.lr:g} is above {highest:g}, where {spec.optimizer.type} mostly "
            "diverges; "
            "begin with the default",
        )
    if spec.loss.reduction == "sum" and spec.training.batch_size != 1:
        findings.warn(
            "sum_reduction",
            "/loss/reduction",
            "the gradient is summed over the batch, so the step grows with batch_size; lower optimizer.lr by as much",
        )
    if spec.schedule.warmup_steps >= sizes.schedule_steps:
        findings.warn(
            "warmup_too_long",
            "/schedule/warmup_steps",
            f"{spec.schedule.warmup_steps} warm-up steps in a run of {sizes.schedule_steps}: the peak is reached at "
            "its end",
        )
    if isinstance(spec.schedule, MultiStepSchedule) and max(spec.schedule.milestones) >= spec.training.epochs:
        findings.warn(
            "milestone_too_late",
            "/schedule/milestones",
            f"the run ends after {spec.training.epochs} epochs, before the last",
        )
    if spec.optimizer.type == "lbfgs" and sizes.steps_per_epoch > 1:
        findings.warn(
            "lbfgs_minibatch",
            "/training/batch_size",
            "lbfgs compares gradients of one step with the last, which mini-batches make noise; use batch_size full",
        )
    if spec.training.batch_size == 1 and any(each.over_batch for layer in body.layers for each in layer.everything()):
        findings.fault(
            "/training/batch_size",
            "batch_norm_of_one",
            "received 1 with a batch_norm layer, expected at least 2: the variance of one sample is 0; do raise it "
            "or use "
            "layer_norm",
            needs=("/network",),
        )


def _advise_on_precision(spec: JobSpec, findings: Findings) -> None:
    if spec.optimizer.type == "lbfgs" and spec.training.is_mixed:
        findings.fault(
            "/training/precision",
            "lbfgs_needs_precision",
            f"received {spec.training.precision} with lbfgs, expected float32 or float64: it compares gradients whose "
            "differences 16 bits do not hold; do set precision to float64, or take another optimizer",
        )


def _advise_on_rows(body: Body, sizes: Sizes, findings: Findings) -> None:
    if sizes.split_sizes["validation"] == 0 and not findings.is_tainted("/data/split"):
        findings.warn(
            "no_validation_rows",
            "/data/split/validation",
            "no row validates, so overfitting is not seen and the best checkpoint is the one of the least training "
            "loss",
        )
    if sizes.split_sizes["test"] == 0:
        findings.warn("no_test_rows", "/data/split/test", "no row tests, so the result has no test metrics")
    if body.parameters > _MANY_WEIGHTS * sizes.split_sizes["train"]:
        findings.warn(
            "overfitting",
            "/network",
            f"{body.parameters} parameters for {sizes.split_sizes['train']} training rows: the network can learn "
            "them by "
            "heart; make it smaller, or use dropout, weight decay and early stopping",
        )


def _advise_on_target(
    spec: JobSpec, roles: Roles, columns: list[Column], *, schema: DatasetSchema, findings: Findings
) -> None:
    target = schema.array("y") if schema.kind == "arrays" else columns[0] if columns else None
    if target is not None:
        counts = target.counts if roles.classes is not None else None
        advise_on_class_weight(spec, roles, counts, findings)
        if counts and min(counts) / sum(counts) < _RARE / len(counts) and spec.loss.class_weight is None:
            findings.warn(
                "class_imbalance",
                "/loss/class_weight",
                f"{min(counts) / sum(counts):.1%} of the rows are of the rarest class; look at auc or f1 rather than "
                "accuracy, or set class_weight to balanced",
            )
    for column in columns:
        far = max(abs(column.mean or 0.0), column.std or 0.0)
        if roles.task == "regression" and far > _FAR and spec.data.preprocess.target_scale == "none":
            findings.warn(
                "unscaled_target",
                "/data/preprocess/target_scale",
                f"the target has mean {column.mean or 0:.3g} and deviation {column.std or 0:.3g}; the first epochs "
                "go into "
                "reaching that scale: set target_scale to standard",
            )
