"""What is told of a handful of timings."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any


def summary(samples: Sequence[float], digits: int = 1) -> dict[str, Any]:
    """Median, quartiles, extremes and number of the samples, in their own unit."""
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else [samples[0]] * 3
    told = {"median": middle, "q1": low, "q3": high, "min": min(samples), "max": max(samples)}
    return {name: round(value, digits) for name, value in told.items()} | {"n": len(samples)}
