"""A user's request for an analysis: read with every fault at once, and refused where the job cannot answer it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pydantic import ValidationError

from core.errors import FieldError, Invalid
from core.spec.analyses import ANALYSES, AnalysisRequest, Calibration, Confusion, Features, Reconstructions, Roc
from core.spec.dataset import Category
from core.spec.findings import nearest, one_of, show
from core.spec.job import JobSpec
from core.spec.locate import locate
from core.spec.metrics import METRICS
from core.spec.validation import translated

_CLASSES_ALONE = (Confusion, Roc, Calibration)


def read_analysis(body: object) -> AnalysisRequest:
    """The request that `body` is; Invalid with every fault in it."""
    if not isinstance(body, dict):
        raise _invalid("", "not_an_object", f"received {show(body)}, expected an object; do send {{'type': …}}")
    name = body.get("type")
    if not isinstance(name, str) or name not in ANALYSES:
        near = nearest(name, ANALYSES) if isinstance(name, str) else None
        advice = f"write {near} (did you mean it?)" if near else "choose one of them"
        code = "missing" if name is None else "unknown_type"
        received = "no type" if name is None else show(name)
        raise _invalid("/type", code, f"received {received}, expected {one_of(list(ANALYSES))}; do {advice}")
    model = ANALYSES[name]
    try:
        return cast("AnalysisRequest", model.model_validate(body))
    except ValidationError as error:
        faults = translated([(each, locate(model, each["loc"])) for each in error.errors(include_url=False)])
    plural = "1 error" if len(faults) == 1 else f"{len(faults)} errors"
    raise Invalid(f"the request has {plural}", errors=faults, hint="each error names the field and what to do")


def check_analysis(request: AnalysisRequest, spec: JobSpec, classes: Sequence[Category] | None) -> None:
    """Raises Invalid when a job of this resolved spec cannot answer: what the reason is and what would answer."""
    if isinstance(request, _CLASSES_ALONE) and spec.task != "classification":
        raise _invalid(
            "/type",
            "wrong_task",
            f"received {request.type} for the task {spec.task}, expected a classification; do ask for "
            + ("decision_boundary or features" if spec.task == "regression" else "reconstructions or latent"),
        )
    if isinstance(request, Reconstructions) and spec.task != "reconstruction":
        raise _invalid(
            "/type",
            "wrong_task",
            f"received reconstructions for the task {spec.task}, expected a reconstruction; do ask for latent",
        )
    if (
        isinstance(request, (Roc, Calibration))
        and request.positive is not None
        and request.positive not in (classes or ())
    ):
        known = one_of([str(each) for each in classes or ()])
        detail = f"received {show(request.positive)}, expected a class: {known}; do choose one or null"
        raise _invalid("/positive", "unknown_class", detail)
    if isinstance(request, Features) and request.metric is not None:
        _check_metric(request.metric, spec, classes)


def _check_metric(metric: str, spec: JobSpec, classes: Sequence[Category] | None) -> None:
    task = spec.task
    fitting = [
        name
        for name, info in METRICS.items()
        if task in info.tasks and not (info.binary_only and classes is not None and len(classes) > 2)
    ]
    if metric not in fitting:
        detail = f"received {metric} for the task {task}, expected {one_of(fitting)}; do choose one or null"
        raise _invalid("/metric", "wrong_task", detail)


def _invalid(pointer: str, code: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError(pointer, code, detail)])
