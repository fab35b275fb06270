"""docs/performance.md from its template and the results: prose stands in the one, figures in the other.

.venv/bin/python -m benchmarks.report [--check]
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import results, service_tables
from benchmarks.engine.measure import Row
from benchmarks.engine.table import HEADINGS, cells, compared, markdown, ratio, threads_in_words
from benchmarks.engine.workloads import WORKLOADS
from benchmarks.goals import GOALS, Figures

TEMPLATE = Path(__file__).with_name("performance.template.md")
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
PARTS = ("engine", "jobs", "service", "overhead", "recording", "latency")
NEVER = "Not measured yet."
_COMPUTING = (
    *("torch", "numpy", "scipy", "scikit-learn", "joblib", "jax", "jaxlib"),
    *("keras", "lightning", "skorch", "mlflow", "h2o"),
)

Section = Callable[[Figures], str]


def machine(figures: Figures) -> str:
    """One sentence a part: when and on what it was measured."""
    return "\n".join(f"- {name}: {_measured_on(figures[name])}" for name in PARTS if name in figures) or NEVER


def _measured_on(part: dict[str, Any]) -> str:
    on = part["machine"]
    plural = "" if on["cores"] == 1 else "s"
    told = f"{part['date'][:10]}, {on['cores']} core{plural} of {on['cpu']}, {on['memory_gib']} GiB, {on['os']}, "
    told += f"Python {on['python']}; "
    rounds = f"{part['repeats']} rounds in " if "repeats" in part else ""
    told += f"{rounds}{part['seconds'] / 60:.1f} minutes, load before it {part['load_before']}"
    return told + (" (a quick run: rough)" if part["quick"] else "")


def goals(figures: Figures) -> str:
    return markdown(("goal", "wanted", "measured", ""), [goal.line(figures) for goal in GOALS])


def engine(figures: Figures) -> str:
    """A table for each workload on the first number of threads, and one of all workloads for each other number."""
    part = figures.get("engine")
    if part is None:
        return NEVER
    rows, (first, *others) = part["rows"], part["threads"]
    workloads = list(dict.fromkeys(row["workload"] for row in rows))
    tables = [
        f"### {WORKLOADS[name].title}; {threads_in_words(first)}\n\n{markdown(HEADINGS, cells(rows, name, first))}"
        for name in workloads
    ]
    for threads in others:
        heading = f"### All of them with {threads_in_words(threads)}: µs a step (times that with {first})"
        lines = compared(rows, workloads, first, threads)
        tables.append(f"{heading}\n\n{markdown(('', *workloads), lines)}")
    return "\n\n".join(tables)


def keeping(figures: Figures) -> str:
    """A line for each run that was trained with and without recording."""
    lines = [
        [name, f"{told['wall']['without_s']:.3g} s", _cost(told["wall"]), _cost(told["cpu"])]
        for name, told in figures.get("overhead", {}).items()
        if isinstance(told, dict) and "wall" in told
    ]
    return markdown(("", "without", "with, by the clock", "with, by processor time"), lines) if lines else NEVER


def _cost(told: dict[str, float]) -> str:
    """The median, the least and the greatest."""
    return f"{told['cost']:+.1%} ({told['least']:+.1%} to {told['most']:+.1%})"


def _jobs(figures: Figures, *parts: str) -> list[Row]:
    return [row for row in figures.get("jobs", {}).get("rows", []) if row["part"] in parts]


def _seconds(figures: Figures, part: str) -> str:
    """Seconds of each row, and how many times as long as Netmill it took."""
    rows = _jobs(figures, part)
    if not rows:
        return NEVER
    ours = next((row["seconds"]["median"] for row in rows if row["peer"] == "netmill" and "seconds" in row), None)
    lines = []
    for row in rows:
        if "absent" in row:
            lines.append([row["title"], "absent", row["absent"], ""])
            continue
        s = row["seconds"]
        times = ratio(s["median"], ours)
        spread = f"{s['min']:.3g} to {s['max']:.3g}" if s["n"] > 1 else "once"
        lines.append([row["title"], f"{s['median']:.3g} s", spread, "" if times is None else f"{times:.2f}"])
    return markdown(("", "median", "least to most", "times Netmill's"), lines)


def one(figures: Figures) -> str:
    return _seconds(figures, "one")


def together(figures: Figures) -> str:
    return "\n\n".join(_seconds(figures, part) for part in ("together", "thousand") if _jobs(figures, part)) or NEVER


def company(figures: Figures) -> str:
    """How many jobs trained in cohorts of which size."""
    told = []
    for row in _jobs(figures, "together", "thousand"):
        sizes = [
            f"{jobs} alone" if size == "1" else f"{jobs} in cohorts of {size}"
            for size, jobs in row.get("cohorts", {}).items()
        ]
        if sizes:
            told.append(f"- {row['title']}: {', '.join(sizes)}.")
    return "\n".join(told)


def tracking(figures: Figures) -> str:
    lines = []
    for row in _jobs(figures, "polling", "logging"):
        if "absent" in row:
            lines.append([row["title"], "absent", row["absent"]])
            continue
        rate, what = row["per_s"], "answers" if row["part"] == "polling" else "points"
        spread = f"{rate['min']:,.0f} to {rate['max']:,.0f}"
        lines.append([row["title"], f"{rate['median']:,.0f} {what} a second", spread])
    return markdown(("", "median", "least to most"), lines) if lines else NEVER


def service(figures: Figures) -> str:
    """Requests, waits and rows of the service alone."""
    tables = (service_tables.requests, service_tables.beside, service_tables.waits, service_tables.recorded)
    return "\n\n".join(filter(None, (table(figures) for table in tables))) or NEVER


def versions(figures: Figures) -> str:
    """The packages that compute, of all environments together."""
    installed: dict[str, str] = {}
    for environment in figures.get("engine", {}).get("packages", {}).values():
        installed |= environment
    told = ", ".join(f"{name} {installed[name]}" for name in _COMPUTING if name in installed)
    return f"{told}. All others stand in `benchmarks/measured/engine.json`." if told else NEVER


SECTIONS: dict[str, Section] = {
    section.__name__: section
    for section in (machine, goals, engine, keeping, one, together, company, tracking, service, versions)
}


def page(figures: Figures) -> str:
    """The whole page."""
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: SECTIONS[found[1]](figures), TEMPLATE.read_text("utf-8"))
    return re.sub(r"\n{3,}", "\n\n", text)


def read_figures(folder: Path = results.FOLDER) -> Figures:
    """What stands in the files."""
    return {name: part for name in PARTS if (part := results.read(name, folder)) is not None}


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="change nothing; exit 1 when the page is out of date")
    made = page(read_figures())
    if options.parse_args(arguments).check:
        return int(not PAGE.exists() or PAGE.read_text("utf-8") != made)
    PAGE.write_text(made, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
