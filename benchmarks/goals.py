"""What Netmill wants to be, and what was measured: each goal with its number, its bound, and whether it is met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.engine.table import median_us, ratio
from benchmarks.engine.workloads import TOGETHER

Figures = dict[str, Any]
"""The results of all parts, by name; a part that was never measured is absent."""
Measure = Callable[[Figures], float | None]


@dataclass(frozen=True, slots=True)
class Goal:
    """`measured` is None when a row that it needs is not there; `unit` stands behind both numbers."""

    title: str
    bound: float
    measured: Measure
    upwards: bool = False
    unit: str = ""

    def line(self, figures: Figures) -> tuple[str, str, str, str]:
        """(goal, bound, measured, whether it is met)."""
        sign = "at least" if self.upwards else "at most"
        bound = f"{sign} {self.bound:,g}{self.unit}"
        value = self.measured(figures)
        if value is None:
            return self.title, bound, "not measured", ""
        met = value >= self.bound if self.upwards else value <= self.bound
        return self.title, bound, f"{_number(value)}{self.unit}", "met" if met else "**not met**"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def steps(one: str, other: str, workload: str) -> Measure:
    """The time of a step of `one` in units of that of `other`, on one thread."""

    def measured(figures: Figures) -> float | None:
        rows = figures.get("engine", {}).get("rows", [])
        return ratio(*(median_us(rows, peer, workload, 1) for peer in (one, other)))

    return measured


def seconds(figures: Figures, part: str, peer: str) -> float | None:
    """The median of one row of whole jobs."""
    for row in figures.get("jobs", {}).get("rows", []):
        if (row["part"], row["peer"]) == (part, peer) and "seconds" in row:
            return float(row["seconds"]["median"])
    return None


def _behind_fit(figures: Figures) -> float | None:
    """Milliseconds that a whole job takes longer than `fit`."""
    job, fit = seconds(figures, "one", "netmill"), seconds(figures, "one", "scikit_learn")
    return None if job is None or fit is None else 1000 * (job - fit)


def found(part: str, *path: str) -> Measure:
    """A number of another part of the results, by the names that lead to it."""

    def measured(figures: Figures) -> float | None:
        here: Any = figures.get(part, {})
        for name in path:
            here = here.get(name, {})
        return float(here) if isinstance(here, (int, float)) else None

    return measured


def _percent(part: str, *path: str) -> Measure:
    """A share, in percent."""

    def measured(figures: Figures) -> float | None:
        share = found(part, *path)(figures)
        return None if share is None else 100 * share

    return measured


def _times_as_many(peer: str) -> Measure:
    return lambda figures: ratio(seconds(figures, "together", peer), seconds(figures, "together", "netmill"))


_POLLS = ("polling, sqlite", "job and metrics")
_SUBMISSIONS = ("submitting, sqlite", "submissions")
_BESIDE_WAITERS = ("waiting, sqlite", "beside who hear twice a second")

_DIGITS = "digits 64-32-10, batch 32"
_MLP = "higgs 28-300-300-300-1, batch 256"

GOALS = (
    Goal("digits, a step in units of scikit-learn's", 0.45, steps("netmill", "scikit_learn", "digits")),
    Goal("digits, a step in units of the usual PyTorch loop's", 0.18, steps("netmill", "pytorch_usual", "digits")),
    Goal("MLP, a step in units of PyTorch's done well", 1.0, steps("netmill", "pytorch_well", "mlp")),
    Goal("CNN, a step in units of PyTorch's done well", 1.0, steps("netmill", "pytorch_well", "cnn")),
    Goal("LSTM, a step in units of PyTorch's done well", 1.0, steps("netmill", "pytorch_well", "lstm")),
    Goal("MLP, share of the ceiling (matrix products by torch.mm)", 0.75, steps("matmul", "netmill", "mlp"), True),
    Goal("MLP, share of the ceiling (matrix products by oneDNN)", 0.75, steps("matmul_onednn", "netmill", "mlp"), True),
    Goal("digits, what recording and checkpoints cost", 3, _percent("overhead", _DIGITS, "cpu", "cost"), unit=" %"),
    Goal("MLP, what recording and checkpoints cost", 3, _percent("overhead", _MLP, "cpu", "cost"), unit=" %"),
    Goal("one job, submit to succeeded, beyond scikit-learn's `fit`", 120, _behind_fit, unit=" ms"),
    Goal(f"{TOGETHER} jobs at once, times the usual PyTorch loop's", 8, _times_as_many("pytorch_fits"), True),
    Goal(f"{TOGETHER} jobs at once, times joblib's on two processes", 2, _times_as_many("joblib_fits"), True),
    Goal("1,000 jobs at once", 45, lambda figures: seconds(figures, "thousand", "netmill"), unit=" s"),
    Goal("submit to the first step, p50", 30, found("latency", "started_ms", "p50"), unit=" ms"),
    Goal("submit to the first step, p95", 60, found("latency", "started_ms", "p95"), unit=" ms"),
    Goal("submit to succeeded, one epoch of digits, p50", 90, found("latency", "one_epoch_ms", "p50"), unit=" ms"),
    Goal("polls of a job with its metrics", 2000, found("service", *_POLLS, "per_s"), True, " a second"),
    Goal("polls of a job with its metrics, p99", 40, found("service", *_POLLS, "p99_ms"), unit=" ms"),
    Goal("submissions", 300, found("service", *_SUBMISSIONS, "per_s"), True, " a second"),
    Goal("rows of a history recorded, SQLite", 100_000, found("recording", "sqlite", "rows_per_s"), True, " a second"),
    Goal("rows recorded, PostgreSQL", 100_000, found("recording", "postgresql", "rows_per_s"), True, " a second"),
    Goal("plain requests beside those who wait, p99", 50, found("service", *_BESIDE_WAITERS, "p99_ms"), unit=" ms"),
    Goal("what people polling every second cost two workers", 10, _percent("service", "beside", "costs"), unit=" %"),
)
