"""Figures of the growth benchmarks: quantiles, and one file that each benchmark writes its part of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks import results
from benchmarks.machine import load, machine, today

PART = "growth"


def quantiles(samples_ms: Iterable[float]) -> dict[str, float]:
    """p50, p95, p99, the greatest, and how many there were."""
    ordered = sorted(samples_ms)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

    return {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": round(ordered[-1], 2), "n": len(ordered)}


def timed_ms(action: Callable[[], object]) -> float:
    """Milliseconds that one call takes."""
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def save(section: str, name: str, figures: dict[str, Any]) -> None:
    """Replaces the figures of that name in one section of the file and leaves all else as it is."""
    known = results.read(PART) or {}
    taken = {**figures, "taken_at": today(), "load": load()}
    section_now = {**known.get(section, {}), name: taken}
    results.write(PART, known | {section: section_now, "machine": machine()})
