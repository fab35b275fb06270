"""Several kinds of load in short rounds, one after the other: so a busy moment of the machine falls on all alike."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def in_rounds(ask: Mapping[str, Callable[[], dict[str, Any]]], repeats: int) -> dict[str, dict[str, Any]]:
    """What each load comes to: medians of its rounds, with the least and the most answers a second."""
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in ask}
    for _ in range(repeats):
        for name, once in ask.items():
            told[name].append(once())
    return {name: median_of(each) for name, each in told.items()}


def median_of(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One summary of several: medians of numbers, sums of the statuses and of `n`."""
    statuses: Counter[str] = sum((Counter(one["statuses"]) for one in rounds), Counter())
    middle = {
        name: round(statistics.median(one[name] for one in rounds), 3)
        for name in rounds[0]
        if name not in ("statuses", "n")
    }
    rates = [one["per_s"] for one in rounds]
    spread = {"least_per_s": min(rates), "most_per_s": max(rates), "rounds": len(rounds)}
    return middle | {"n": sum(one["n"] for one in rounds), "statuses": dict(statuses)} | spread
