"""The service's own figures as tables: requests a second, what short jobs wait for, rows recorded."""

from __future__ import annotations

from typing import Any

from benchmarks.engine.table import markdown

Figures = dict[str, Any]


def requests(figures: Figures) -> str:
    """A line for each kind of load on one API process; empty when none was measured."""
    lines = [
        [
            f"{section}: {name}",
            f"{told['per_s']:,.0f}",
            f"{told['least_per_s']:,.0f} to {told['most_per_s']:,.0f}",
            *(f"{told[key]:g} ms" for key in ("p50_ms", "p95_ms", "p99_ms")),
            f"{told['client_cpu']:g}",
        ]
        for section, each in figures.get("service", {}).items()
        if isinstance(each, dict)
        for name, told in each.items()
        if isinstance(told, dict) and "per_s" in told
    ]
    return (
        markdown(("", "answers a second", "least to most", "p50", "p95", "p99", "cores of the client"), lines)
        if lines
        else ""
    )


def waits(figures: Figures) -> str:
    """How soon a job trains and is over, on an idle service."""
    part = figures.get("latency", {})
    rows = {"started_ms": "submit to the end of the first step", "one_epoch_ms": "submit to succeeded, one epoch"}
    lines = [
        [title, *(f"{part[name][key]:g} ms" for key in ("p50", "p95", "min"))]
        for name, title in rows.items()
        if name in part
    ]
    return markdown(("digits, 64-32-10", "p50", "p95", "least"), lines) if lines else ""


def recorded(figures: Figures) -> str:
    """Rows of histories that one worker thread commits in a second."""
    part = figures.get("recording", {})
    lines = [
        [name, _with_spread(part[name]), f"{part[name]['points_per_s']:,}"]
        for name in ("sqlite", "postgresql")
        if name in part
    ]
    return markdown(("rows of a history recorded", "rows a second", "values a second"), lines) if lines else ""


def _with_spread(told: dict[str, int]) -> str:
    """Rows a second, and the least and the most of several times."""
    return f"{told['rows_per_s']:,} ({told['least']:,} to {told['most']:,})"


def beside(figures: Figures) -> str:
    """What people who look cost those who train."""
    part = figures.get("service", {}).get("beside")
    if part is None:
        return ""
    spread = part["costs, all"]
    return (
        f"{part['people']} people polling every second beside two workers: training takes {part['costs']:+.1%} longer, "
        f"the median of {spread['n']} pairs of runs ({spread['min']:+.1%} to {spread['max']:+.1%}). Their own "
        f"{part['client_cpu']:.3f} of a core, which would be other machines', is in it; the API process took "
        f"{part['api_cpu']:.3f} of a core."
    )
