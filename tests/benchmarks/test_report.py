"""docs/performance.md is what the results say, and the goals are judged by numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report, results
from benchmarks.figures import summary
from benchmarks.goals import GOALS
from benchmarks.machine import machine


def step(peer: str, workload: str, us: float) -> dict[str, Any]:
    told = {"peer": peer, "title": peer, "workload": workload, "threads": 1}
    return told | {"us": summary([us, us - 1, us + 1]), "first_s": 0.5}


def job(part: str, peer: str, seconds: float) -> dict[str, Any]:
    return {"part": part, "peer": peer, "title": peer, "seconds": summary([seconds], 3)}


def figures_of(netmill_us: float, netmill_s: float) -> dict[str, Any]:
    common = {"date": "2026-01-02T03:04:05+00:00", "machine": machine(), "load_before": 0.1, "repeats": 3}
    common |= {"seconds": 60, "quick": False}
    steps = [step("netmill", "digits", netmill_us), step("scikit_learn", "digits", 100), step("matmul", "mlp", 60)]
    steps += [step("netmill", "mlp", 100)]
    steps.append({"peer": "h", "title": "h", "workload": "mlp", "threads": 1, "absent": "for a reason"})
    rows = [job("one", "netmill", 0.2), job("one", "scikit_learn", 0.1), job("together", "netmill", netmill_s)]
    rows += [job("together", "pytorch_fits", 16), job("together", "joblib_fits", 3)]
    rows.append({"part": "thousand", "peer": "netmill", "title": "t", "absent": "800 of 1000 after 300 s"})
    engine = common | {"threads": [1], "rows": steps, "packages": {"peers": {"torch": "2.13.0"}}}
    return {"engine": engine, "jobs": common | {"rows": rows}}


def test_other_numbers_of_threads_share_one_table() -> None:
    figures = figures_of(40, 2.0)
    rows = figures["engine"]["rows"]
    rows += [{**step("netmill", "digits", 50), "threads": 2}, {**step("netmill", "mlp", 60), "threads": 2}]
    rows.append({**step("matmul", "mlp", 30), "threads": 2})
    figures["engine"]["threads"] = [1, 2]
    told = report.engine(figures)
    assert told.count("1 thread\n") == 2
    *_, table = told.split("### ")
    assert table.splitlines()[0] == "All of them with 2 threads: µs a step (times that with 1)"
    assert "| netmill | 50.0 (1.25) | 60.0 (0.60) |" in table
    assert "| matmul |  | 30.0 (0.50) |" in table


def with_service(figures: dict[str, Any]) -> dict[str, Any]:
    common = {name: figures["engine"][name] for name in ("date", "machine", "load_before", "seconds", "quick")}
    asked = {"per_s": 2345.6, "p50_ms": 5, "p95_ms": 7, "p99_ms": 41, "client_cpu": 0.5}
    asked |= {"least_per_s": 2001, "most_per_s": 2400}
    spread = {"n": 5, "min": 0.01, "max": 0.09}
    beside = {"people": 200, "costs": 0.04, "costs, all": spread, "client_cpu": 0.02, "api_cpu": 0.1}
    service = common | {"polling, sqlite": {"job and metrics": asked}, "beside": beside}
    latency = common | {"started_ms": {"p50": 20, "p95": 61, "min": 15}}
    recording = common | {"sqlite": {"rows_per_s": 120000, "points_per_s": 720000, "least": 99000, "most": 130000}}
    cost = {"with_s": 1.035, "without_s": 1, "cost": 0.035, "least": -0.01, "most": 0.05}
    overhead = common | {"higgs 28-300-300-300-1, batch 256": {"wall": cost, "cpu": cost}}
    figures = figures | {"overhead": overhead}
    return figures | {"service": service, "latency": latency, "recording": recording}


def judged(figures: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {goal.title: goal.line(figures)[2:] for goal in GOALS}


def test_the_page_is_what_the_committed_results_say() -> None:
    assert report.PAGE.read_text() == report.page(report.read_figures()), "run python -m benchmarks.report"


def test_no_figure_stands_in_the_template() -> None:
    prose = re.sub(r"\{\{\w+\}\}|64-32-10|float32", "", report.TEMPLATE.read_text())
    assert not re.findall(r"\d+(?:\.\d+)?\s*(?:µs|us|ms|s|%|times)\b", prose)
    assert set(re.findall(r"\{\{(\w+)\}\}", report.TEMPLATE.read_text())) == set(report.SECTIONS)


def test_goals_are_judged_by_what_was_measured() -> None:
    found = judged(figures_of(netmill_us=40, netmill_s=2))
    assert found["digits, a step in units of scikit-learn's"] == ("0.4", "met")
    assert found["digits, a step in units of the usual PyTorch loop's"] == ("not measured", "")
    assert found["MLP, share of the ceiling (matrix products by torch.mm)"] == ("0.6", "**not met**")
    assert found["one job, submit to succeeded, beyond scikit-learn's `fit`"] == ("100 ms", "met")
    assert found["64 jobs at once, times the usual PyTorch loop's"] == ("8", "met")
    assert found["64 jobs at once, times joblib's on two processes"] == ("1.5", "**not met**")
    assert found["1,000 jobs at once"] == ("not measured", "")
    assert (
        judged(figures_of(netmill_us=50, netmill_s=2))["digits, a step in units of scikit-learn's"][1] == "**not met**"
    )


def test_the_service_is_judged_by_its_own_files() -> None:
    figures = with_service(figures_of(netmill_us=40, netmill_s=2))
    found = judged(figures)
    assert found["polls of a job with its metrics"] == ("2,346 a second", "met")
    assert found["polls of a job with its metrics, p99"] == ("41 ms", "**not met**")
    assert found["submit to the first step, p95"] == ("61 ms", "**not met**")
    assert found["submit to succeeded, one epoch of digits, p50"] == ("not measured", "")
    assert found["what people polling every second cost two workers"] == ("4 %", "met")
    assert found["rows of a history recorded, SQLite"] == ("120,000 a second", "met")
    assert found["MLP, what recording and checkpoints cost"] == ("3.5 %", "**not met**")
    told = report.page(figures)
    assert "batch 256 | 1 s | +3.5% (-1.0% to +5.0%) | +3.5% (-1.0% to +5.0%) |" in told
    assert "| polling, sqlite: job and metrics | 2,346 | 2,001 to 2,400 | 5 ms | 7 ms | 41 ms | 0.5 |" in told
    assert "| submit to the end of the first step | 20 ms | 61 ms | 15 ms |" in told
    assert "| sqlite | 120,000 (99,000 to 130,000) | 720,000 |" in told
    assert "training takes +4.0% longer, the median of 5 pairs of runs (+1.0% to +9.0%)" in told


def test_the_page_tells_the_machine_the_ratios_and_what_is_absent() -> None:
    told = report.page(figures_of(netmill_us=40, netmill_s=2))
    assert "{{" not in told
    assert machine()["cpu"] in told
    assert "2026-01-02" in told
    assert "| netmill | 40.0 | 39.0 to 41.0 | 0.40 |" in told
    assert "| h | absent | for a reason |" in told
    assert "| t | absent | 800 of 1000 after 300 s |" in told
    assert "torch 2.13.0" in told


def test_a_page_without_results_says_so() -> None:
    told = report.page({})
    assert report.NEVER in told
    assert "not measured" in told


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert results.read("engine", tmp_path) is None
    results.write("engine", {"µs": 1.5}, tmp_path)
    assert results.read("engine", tmp_path) == {"µs": 1.5}


@pytest.mark.parametrize("key", ["cpu", "cores", "memory_gib", "os", "python"])
def test_the_machine_is_told(key: str) -> None:
    assert machine()[key]
