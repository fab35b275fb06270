"""What windows decide about a job: columns to predict, order, task, scale; and what does not go with them."""

from __future__ import annotations

from typing import Any

from core.spec.dataset import DatasetSchema
from core.spec.findings import Findings, show
from core.spec.job import JobSpec
from core.spec.windows import WindowSpec, window_columns


def with_window(spec: JobSpec, window: WindowSpec, schema: DatasetSchema, findings: Findings) -> JobSpec:
    """The job with what windows decide written out: a regression on scaled columns, in time order."""
    data, split = spec.data, spec.data.split
    refused = {
        "/data/weight": data.weight,
        "/data/input_shape": data.input_shape,
        "/data/preprocess/normalize": None if data.preprocess.normalize == "none" else data.preprocess.normalize,
        "/data/split/folds": split.folds or None,
        "/task": spec.task if spec.task not in ("auto", "regression") else None,
    }
    for where, value in refused.items():
        if value is not None:
            expected = "regression or auto" if where == "/task" else "none"
            findings.fault(
                where,
                "not_with_window",
                f"received {show(value)} with data.window, expected {expected}; do leave it out",
            )
    if split.column is not None and split.group is not None:
        findings.fault(
            "/data/split/column",
            "conflicting_split",
            "received group and column together, expected one of them at most; do name the series in window.series",
        )
    window = window.model_copy(update={"series": window.series or split.group})
    reserved = {name for name in (window.series, split.order_by, split.column, split.group) if name is not None}
    columns = window_columns(window, data.targets, schema, reserved, findings)
    if split.order_by is None:
        _advise_on_order(schema, findings)
    preprocess = data.preprocess
    if "target_scale" not in preprocess.model_fields_set:
        preprocess = preprocess.model_copy(update={"target_scale": "standard"})
    target: Any = columns[0] if len(columns) == 1 else columns or None
    update = {"target": target, "window": window.model_copy(update={"columns": columns}), "preprocess": preprocess}
    return spec.model_copy(update={"data": data.model_copy(update=update), "task": "regression"})


def _advise_on_order(schema: DatasetSchema, findings: Findings) -> None:
    times = [column.name for column in schema.columns if column.type == "datetime"]
    if times:
        findings.warn(
            "rows_as_they_stand",
            "/data/split/order_by",
            f"rows are taken in the order in which they stand; name {show(times[0])} to sort by it",
        )
