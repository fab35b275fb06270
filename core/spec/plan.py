"""The dry run of a job spec: everything decided, every size counted, or every fault at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.errors import Invalid
from core.spec.advice import advise
from core.spec.base import Shape
from core.spec.baselines import check_baselines
from core.spec.codes import check_codes
from core.spec.compiling import check_compile
from core.spec.data import DataSpec
from core.spec.dataset import Category, DatasetSchema
from core.spec.findings import Findings, PlanWarning, show
from core.spec.folds import check_folds
from core.spec.inits import Torch
from core.spec.job import JobSpec
from core.spec.labels import Label
from core.spec.limits import Limits
from core.spec.network import LayeredNetwork
from core.spec.objective import check_rates, check_watched, resolve_loss, resolve_metrics
from core.spec.roles import Roles, assign_roles
from core.spec.sampling import check_monitor
from core.spec.schedules import lr_factor
from core.spec.shapes import Body, PlannedLayer, infer
from core.spec.sizes import Sizes, measure, validates
from core.spec.validation import PLACEHOLDER, read_spec

FindSchema = Callable[[DataSpec], DatasetSchema | None]
_PREVIEW_POINTS = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """A job that can be queued. `spec` is resolved: every default written out, the family expanded.

    A resolved spec that is checked again gives itself. `expanded_from` is the network as sent when it named a family.
    """

    spec: JobSpec
    layers: tuple[PlannedLayer, ...]
    input_shape: Shape
    output_shape: Shape
    features: tuple[str, ...]
    classes: tuple[Category, ...] | None
    parameters: int
    flops_per_sample: int
    memory_bytes: int
    time_estimate_s: float
    steps_per_epoch: int
    total_steps: int
    split_sizes: dict[str, int]
    fold_sizes: tuple[dict[str, int], ...]
    schedule_steps: int
    """Over which the learning rate's schedule spans."""
    expanded_from: dict[str, Any] | None
    label: Label | None
    """Of a reconstruction with a target: which of its classes are normal, which anomalies."""
    warnings: tuple[PlanWarning, ...]

    @property
    def lr_preview(self) -> tuple[dict[str, float], ...]:
        """The learning rate at about 50 steps, the first and the last among them."""
        last = self.schedule_steps - 1
        steps = sorted({round(index * last / (_PREVIEW_POINTS - 1)) for index in range(_PREVIEW_POINTS)})
        return tuple({"step": step, "lr": self._lr(step)} for step in steps)

    def _lr(self, step: int) -> float:
        peak = self.spec.optimizer.lr
        sizes = {"total_steps": self.schedule_steps, "steps_per_epoch": self.steps_per_epoch}
        return peak * lr_factor(self.spec.schedule, step, **sizes, peak_lr=peak)

    def to_json(self) -> dict[str, Any]:
        """The answer of `/v1/plan`."""
        return {
            "spec": self.spec.model_dump(mode="json"),
            "expanded_from": self.expanded_from,
            "layers": [_row(layer) for layer in self.layers],
            "label": None if self.label is None else _label(self.label),
            "encoding": self.spec.layered().encoding,
            "input_shape": list(self.input_shape),
            "output_shape": list(self.output_shape),
            "features": list(self.features),
            "classes": None if self.classes is None else list(self.classes),
            "parameters": self.parameters,
            "flops_per_sample": self.flops_per_sample,
            "memory_bytes": self.memory_bytes,
            "time_estimate_s": self.time_estimate_s,
            "steps_per_epoch": self.steps_per_epoch,
            "total_steps": self.total_steps,
            "split_sizes": dict(self.split_sizes),
            "fold_sizes": [dict(sizes) for sizes in self.fold_sizes] or None,
            "lr_preview": list(self.lr_preview),
            "warnings": [{"code": each.code, "pointer": each.pointer, "detail": each.detail} for each in self.warnings],
        }


def _row(layer: PlannedLayer) -> dict[str, Any]:
    row: dict[str, Any] = {
        "index": layer.index,
        "type": layer.type,
        "output_shape": list(layer.output_shape),
        "parameters": layer.parameters,
        "path": layer.path,
    }
    return row | {"children": [_row(child) for child in layer.children]} if layer.children else row


def _label(label: Label) -> dict[str, Any]:
    return {"target": label.name, "normal": list(label.normal), "anomalies": list(label.anomalies)}


def check_job(body: object, find_schema: FindSchema, limits: Limits) -> Plan:
    """The plan of `body`, or Invalid with every fault in it, those that need the data set's shape among them.

    `find_schema` answers with what the named data set is, None when there is no such set; it may raise Invalid with
    errors of its own about `data` (parameters of a set that is made on demand).
    """
    findings = Findings()
    sent = _with_task(read_spec(body, findings), findings)
    schema = _schema(sent, find_schema, findings)
    roles = Roles(sent.data) if schema is None else assign_roles(sent, schema, limits, findings)
    loss = resolve_loss(sent, roles, schema, findings)
    network = infer(sent.network, roles, loss, limits, findings)
    metrics = resolve_metrics(sent, roles, findings)
    spec = sent.model_copy(
        update={"data": roles.data, "loss": loss, "metrics": metrics, "task": roles.task or sent.task}
    )
    _refuse_unfit(spec, roles, findings)
    check_rates(spec, findings)
    if schema is None:
        raise _invalid(findings)
    check_watched(spec, roles, metrics, validates(spec.data.split, schema), findings)
    sizes = measure(spec, network, schema, limits, findings, label=roles.label)
    check_folds(spec.data.split, roles, schema, schema.rows - sizes.split_sizes["test"], findings)
    check_monitor(spec.monitor, len(network.planned), sizes.total_steps, findings)
    complete = len(network.planned) == len(network.layers)
    if complete:
        check_codes(network, roles.data, schema, findings)
        check_compile(spec, network.layers, network.input_shape, findings)
        advise(spec, roles, network, sizes, schema=schema, findings=findings)
    if findings.errors or not complete:
        raise _invalid(findings)
    return _plan(sent, spec, roles, network, sizes, findings=findings)


def _with_task(spec: JobSpec, findings: Findings) -> JobSpec:
    """With the one task of a family that has one."""
    if not spec.network.reproduces or spec.task == "reconstruction":
        return spec
    if spec.task != "auto":
        findings.fault(
            "/network/family",
            "wrong_task",
            f"received {getattr(spec.network, 'family', '')} for the task {spec.task}, expected the task "
            "reconstruction: the family learns its inputs; do set task to reconstruction or choose another family",
            needs=("/task",),
        )
    return spec.model_copy(update={"task": "reconstruction"})


def _schema(spec: JobSpec, find_schema: FindSchema, findings: Findings) -> DatasetSchema | None:
    if spec.data.dataset == PLACEHOLDER and findings.is_tainted("/data"):
        return None
    try:
        schema = find_schema(spec.data)
    except Invalid as error:
        for each in error.errors:
            findings.add_error(each)
        if not error.errors:
            findings.fault("/data", error.code, error.detail)
        return None
    if schema is None:
        findings.fault(
            "/data/dataset",
            "unknown_dataset",
            f"received {show(spec.data.dataset)}, expected the name or id of a data set; do upload it with POST "
            "/v1/datasets, "
            "or choose one that GET /v1/datasets lists",
        )
    return schema


def _refuse_unfit(spec: JobSpec, roles: Roles, findings: Findings) -> None:
    """What does not go with the task is refused, never skipped in silence."""
    check_baselines(spec.baselines, roles.task, window=spec.data.window is not None, findings=findings)
    if spec.task in ("classification", "reconstruction") and spec.data.preprocess.target_scale != "none":
        findings.fault(
            "/data/preprocess/target_scale",
            "wrong_task",
            f"received {spec.data.preprocess.target_scale} for the task {spec.task}, expected none; do set it to none",
            needs=("/task", "/data/target"),
        )


def _plan(sent: JobSpec, spec: JobSpec, roles: Roles, body: Body, sizes: Sizes, *, findings: Findings) -> Plan:
    assert body.input_shape is not None
    assert body.output_shape is not None
    layered = LayeredNetwork(
        layers=body.layers[: body.head_at],
        head=body.layers[body.head_at :],
        init=sent.network.init or Torch(),
        encoding=body.encoding,
    )
    resolved = spec.model_copy(update={"network": layered})
    family = None if isinstance(sent.network, LayeredNetwork) else sent.network.model_dump(mode="json")
    return Plan(
        spec=resolved,
        layers=body.planned,
        input_shape=body.input_shape,
        output_shape=body.output_shape,
        features=roles.features,
        classes=roles.classes,
        parameters=body.parameters,
        flops_per_sample=body.flops,
        memory_bytes=sizes.memory_bytes,
        time_estimate_s=sizes.time_estimate_s,
        steps_per_epoch=sizes.steps_per_epoch,
        total_steps=sizes.total_steps,
        split_sizes=sizes.split_sizes,
        fold_sizes=sizes.fold_sizes,
        schedule_steps=sizes.schedule_steps,
        expanded_from=family,
        label=roles.label,
        warnings=findings.warnings,
    )


def _invalid(findings: Findings) -> Invalid:
    errors = findings.errors
    assert errors, "a job without a plan has a fault"
    plural = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    return Invalid(f"the job spec has {plural}", errors=errors, hint="each error names the field and what to do")
