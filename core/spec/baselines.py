"""The classical models that a run can be compared with, and what they need."""

from __future__ import annotations

from typing import Literal, get_args

from core.spec.findings import Findings
from core.spec.metrics import Task

Baseline = Literal["linear", "tree", "random_forest", "boosting", "naive"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)


def check_baselines(baselines: tuple[Baseline, ...], task: Task | None, *, window: bool, findings: Findings) -> None:
    """Faults of those that this job cannot have."""
    if baselines and task == "reconstruction":
        findings.fault(
            "/baselines",
            "wrong_task",
            f"received {', '.join(baselines)} for the task reconstruction, expected none: they predict a target; do "
            "set it to []",
            needs=("/task", "/data/target", "/data/dataset"),
        )
        return
    for index, name in enumerate(baselines):
        if name in baselines[:index]:
            findings.fault(
                f"/baselines/{index}", "duplicate", f"received {name} twice, expected it once; do remove one"
            )
        if name == "naive" and not window:
            findings.fault(
                f"/baselines/{index}",
                "needs_window",
                "received naive without data.window, expected a forecast: it repeats the last value seen; do leave it "
                "out",
                needs=("/data/window",),
            )
