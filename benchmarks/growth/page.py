"""Writes the tables of docs/growth.md from what was measured: `.venv/bin/python -m benchmarks.growth.page`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.growth.figures import PART

PAGE = Path(__file__).resolve().parents[2] / "docs" / "growth.md"
Figures = Mapping[str, Any]


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _count(number: float) -> str:
    return f"{int(number):,}"


def sizes(found: Figures) -> str:
    """A row for each operation, p50 and p99 for each size of the database."""
    by_size = sorted(found.values(), key=lambda one: one["jobs"])
    head = ["milliseconds, p50 / p99", *(f"{_count(one['jobs'])} jobs" for one in by_size)]
    rows: list[list[Any]] = [
        ["rows of histories", *(_count(one["rows"]) for one in by_size)],
        ["database", *(f"{one['bytes'] / 2**30:.1f} GiB" for one in by_size)],
    ]
    for name in by_size[-1]["ms"]:
        cells = (one["ms"].get(name) for one in by_size)
        rows.append([name, *(f"{cell['p50']} / {cell['p99']}" if cell else "" for cell in cells)])
    return _table(head, rows)


def claims(found: Figures) -> str:
    """A row for each contest."""
    head = ["workers, training", "jobs", "claimed twice", "jobs a second", "claim p50 / p95 / p99, ms", "end p99, ms"]
    rows = []
    for name, one in found.items():
        claim = " / ".join(str(one["claim_ms"][share]) for share in ("p50", "p95", "p99"))
        told = [_count(one["jobs"]), one["claimed_twice"], one["jobs_a_second"], claim, one["finish_ms"]["p99"]]
        rows.append([name, *told])
    return _table(head, rows)


def heartbeats(found: Figures) -> str:
    """A row for each number of running jobs."""
    head = ["running", "updates of `jobs`", "heap-only", "WAL an update", "table grown by"]
    rows = [
        [
            name,
            _count(one["updates"]),
            f"{one['heap_only_percent']} %",
            f"{one['wal_bytes_an_update']} bytes",
            f"{one['table_grown_by_bytes'] // 1024} KiB",
        ]
        for name, one in found.items()
    ]
    return _table(head, rows)


def memory(found: Figures) -> str:
    """A row for each run: first, middle and last reading, and the slope."""
    head = ["trained", "worker, MiB", "a thousand jobs more", "zygote, MiB", "a thousand jobs more", "open files"]
    rows = []
    for name, one in found.items():
        readings = one["readings"]
        chosen = (readings[0], readings[len(readings) // 2], readings[-1])
        worker, zygote = (" → ".join(str(reading[of]) for reading in chosen) for of in ("worker", "zygote"))
        slopes = [f"{one[f'{of}_per_1000_jobs']:+.2f} MiB" for of in ("worker", "zygote")]
        rows.append([name, worker, slopes[0], zygote, slopes[1], readings[-1]["files"]])
    return _table(head, rows)


def prepared(found: Figures) -> str:
    """A row for each table: the first step of three runners, and the memory of two."""
    head = ["table", "first step, none kept", "who prepares", "who maps", "PSS of two, each for itself", "PSS of two"]
    rows = []
    for name, one in found.items():
        steps = [f"{one['first_step_s'][who]:.2f} s" for who in ("alone", "first", "second")]
        pss = {who: sizes["pss"] for who, sizes in one["mib"].items()}
        rows.append([name, *steps, f"{2 * pss['alone']:.0f} MiB", f"{pss['first'] + pss['second']:.0f} MiB"])
    return _table(head, rows)


SECTIONS: dict[str, Callable[[Figures], str]] = {
    "sizes": sizes,
    "claims": claims,
    "heartbeats": heartbeats,
    "memory": memory,
    "prepared": prepared,
}


def with_tables(text: str, figures: Figures) -> str:
    """The page with the tables of those sections that there are figures for."""
    for name, table in SECTIONS.items():
        if name not in figures:
            continue
        taken = [(one["taken_at"][:10], one["load"]) for one in figures[name].values()]
        machine = figures["machine"]
        told = (
            f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB, {taken[-1][0]}; "
            f"load average when taken: {max(load for _, load in taken)}"
        )
        made = f"<!-- {name} -->\n{table(figures[name])}\n\n{told}\n<!-- end -->"
        text, count = re.subn(rf"<!-- {name} -->.*?<!-- end -->", lambda _, made=made: made, text, flags=re.DOTALL)  # type: ignore[misc]
        assert count == 1, f"{count} places for {name}, expected one"
    return text


def main() -> None:
    """Writes the page."""
    PAGE.write_text(with_tables(PAGE.read_text("utf-8"), results.read(PART) or {}), "utf-8")


if __name__ == "__main__":
    main()
