"""The rows of one workload as a table of ratios."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.engine.measure import Row

SCIKIT_LEARN, USUAL = "scikit_learn", "pytorch_usual"
HEADINGS = ("", "µs a step", "least to most", "of scikit-learn", "of usual PyTorch", "first run")


def median_us(rows: Iterable[Row], peer: str, workload: str, threads: int) -> float | None:
    """The median of one row; None when it was not measured."""
    for row in rows:
        if (row["peer"], row["workload"], row["threads"]) == (peer, workload, threads) and is_told(row):
            return float(row["us"]["median"])
    return None


def is_told(row: Row) -> bool:
    """Whether a row has a time of a step: it is a difference of two runs, in which it must not drown."""
    return "us" in row and row["us"]["min"] > 0


def ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def cells(rows: Sequence[Row], workload: str, threads: int) -> list[list[str]]:
    """One line a peer, the quickest first, those that are absent last."""
    mine = [row for row in rows if row["workload"] == workload and row["threads"] == threads]
    mine.sort(key=lambda row: row["us"]["median"] if is_told(row) else float("inf"))
    references = [median_us(rows, peer, workload, threads) for peer in (SCIKIT_LEARN, USUAL)]
    return [_cells(row, references) for row in mine]


def compared(rows: Sequence[Row], workloads: Sequence[str], first: int, threads: int) -> list[list[str]]:
    """One line a peer, one cell a workload: its time with so many threads, and in units of that with `first`."""
    titles = {row["peer"]: row["title"] for row in rows if row["threads"] == threads}

    def cell(peer: str, workload: str) -> str:
        us = median_us(rows, peer, workload, threads)
        times = ratio(us, median_us(rows, peer, workload, first))
        return "" if us is None else number(us) + ("" if times is None else f" ({times:.2f})")

    return [[title, *(cell(peer, workload) for workload in workloads)] for peer, title in titles.items()]


def threads_in_words(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _cells(row: Row, references: Iterable[float | None]) -> list[str]:
    if not is_told(row):
        why = row.get("absent", "its start varies by more than its steps take")
        return [row["title"], "absent", why, "", "", ""]
    us: dict[str, Any] = row["us"]
    ratios = [ratio(us["median"], reference) for reference in references]
    told = ["" if each is None else f"{each:.2f}" for each in ratios]
    return [
        row["title"],
        number(us["median"]),
        f"{number(us['min'])} to {number(us['max'])}",
        *told,
        f"{row['first_s']} s",
    ]


def number(us: float) -> str:
    """Three digits, with separators of thousands."""
    return f"{us:.1f}" if abs(us) < 100 else f"{us:,.0f}"


def markdown(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table; all columns but the first are numbers."""
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (headings, rule, *lines))
