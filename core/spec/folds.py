"""Cross-validation as the plan sees it: how large each fold is, and whether the data can be dealt out."""

from __future__ import annotations

from core.spec.data import SplitSpec
from core.spec.dataset import DatasetSchema
from core.spec.findings import Findings, show
from core.spec.roles import Roles

Parts = dict[str, int]


def sizes_of_folds(rows: int, test: int, split: SplitSpec) -> tuple[Parts, ...]:
    """Rows of each part in each fold, `rows` of them train or validate; an estimate where groups decide."""
    folds = split.folds or 0
    if split.order_by is not None:
        size = rows // (folds + 1)
        first = rows - folds * size
        return tuple({"train": first + fold * size, "validation": size, "test": test} for fold in range(folds))
    held = [rows // folds + (fold < rows % folds) for fold in range(folds)]
    return tuple({"train": rows - each, "validation": each, "test": test} for each in held)


def check_folds(split: SplitSpec, roles: Roles, schema: DatasetSchema, rows: int, findings: Findings) -> None:
    """Enough rows, groups and rows of each class for the folds that are asked for."""
    if split.folds is None:
        return
    needed = split.folds + (split.order_by is not None)
    if rows < needed:
        _too_few(f"{rows} rows that are not test", needed, split.folds, findings)
    group = schema.column(split.group) if split.group is not None else None
    if group is not None and group.distinct is not None and group.distinct < split.folds:
        _too_few(f"{group.distinct} groups in {show(group.name)}", split.folds, split.folds, findings)
    target = schema.column(roles.data.targets[0]) if roles.classes and roles.data.targets else None
    if target is not None and target.counts and min(target.counts) < split.folds:
        findings.warn(
            "rare_class",
            "/data/split/folds",
            f"the rarest class has {min(target.counts)} rows for {split.folds} folds, so some fold validates without "
            "it; ask for fewer folds",
        )


def _too_few(received: str, needed: int, folds: int, findings: Findings) -> None:
    findings.fault(
        "/data/split/folds",
        "too_many_folds",
        f"received {folds} folds for {received}, expected at least {needed}; do ask for fewer folds",
        needs=("/data/dataset", "/data/split/group", "/data/split/order_by"),
    )
