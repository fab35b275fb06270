"""Figures of the growth benchmarks: quantiles, and one JSON file that each benchmark writes its part of."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RESULTS = Path("benchmarks/results/growth.json")


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


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    cpu = names[0] if names else platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory),
        "python": platform.python_version(),
    }


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


def save(part: str, figures: Any, path: Path = RESULTS) -> None:
    """Replaces one part of the file and leaves the others as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    known |= {part: figures, "machine": machine()}
    path.write_text(json.dumps(known, indent=2) + "\n")
