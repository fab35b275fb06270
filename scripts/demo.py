"""`make demo`: a deep network learns to tell Higgs bosons from background in 20,000 collision events, over HTTP.

Starts the embedded service on a free port in a temporary folder, uploads the events, plans, trains, reads the result,
draws the learning curve, asks about a few events, and ends the service. Exit status 1 when the test AUC is below 0.74.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from netmill import Client, Job, NetmillError
from netmill.client import DEFAULT_URL
from netmill.commands.data import plan_rows
from netmill.words import duration, size
from scripts.local_service import Stopped, service

ROOT = Path(__file__).resolve().parents[1]
EVENTS = ROOT / "examples" / "higgs.csv.gz"
SPEC = ROOT / "examples" / "higgs.json"
OUTPUT = Path("demo-output")
DATASET = "higgs-events"
LEAST_AUC = 0.74
ASKED_EVENTS = 8


def main() -> int:
    """The exit status of the demo."""
    console = Console()
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="netmill-demo-") as folder, service(Path(folder), console) as url:
            auc = play(Client(url), console)
    except (NetmillError, Stopped) as error:
        console.print(f"[bold red]The demo failed:[/] {error}", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted; the service has ended.")
        return 130
    console.print(
        f"The service has ended, nothing is left running. {duration(time.monotonic() - began)} in all.", highlight=False
    )
    if auc < LEAST_AUC:
        console.print(f"[bold red]Test AUC {auc:.4f} is below {LEAST_AUC}.[/]")
        return 1
    console.print(
        "Yours: [bold].venv/bin/netmill up[/], then the curl lines above or [bold].venv/bin/netmill --help[/].",
        soft_wrap=True,
    )
    return 0


def play(client: Client, console: Console) -> float:
    """The demo on a service that runs; the AUC on the test events."""
    spec = prepare_spec()
    upload(client, console)
    show_plan(client, spec, console)
    console.rule("train")
    job = client.train(spec)
    console.print(f"submitted as {job.id}", highlight=False)
    job.follow(console)
    auc = job.result.metrics["test.auc"] or 0.0
    took = (
        f"{(job.state.finished_at - job.state.started_at).total_seconds():.1f} s"
        if job.state.finished_at and job.state.started_at
        else "?"
    )
    console.print(
        Panel(Text(f"test AUC {auc:.4f} after {job.progress.epochs} epochs in {took}", justify="center"), style="green")
    )
    draw(job, console)
    ask(job, console)
    show_curl(console)
    return auc


def prepare_spec() -> dict[str, Any]:
    """The example's spec on the events that are uploaded here; kept in demo-output for the curl lines."""
    spec: dict[str, Any] = json.loads(SPEC.read_text())
    spec["data"]["dataset"] = DATASET
    OUTPUT.mkdir(exist_ok=True)
    (OUTPUT / "higgs.json").write_text(json.dumps(spec, indent=2) + "\n")
    return spec


def upload(client: Client, console: Console) -> None:
    console.rule("upload")
    columns = (TextColumn("upload"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("")
        stored = client.upload(
            EVENTS, name=DATASET, on_bytes=lambda sent, total: bar.update(task, completed=sent, total=total)
        )
    console.print(f"{stored.rows:,} events, {len(stored.columns)} columns, stored as {stored.id}", highlight=False)


def show_plan(client: Client, spec: dict[str, Any], console: Console) -> None:
    console.rule("plan")
    plan = client.plan(spec)
    table = Table(box=None, header_style="bold")
    table.add_column("layer", justify="right")
    table.add_column("type")
    table.add_column("output", justify="right")
    table.add_column("parameters", justify="right")
    for row in plan_rows(plan):
        table.add_row(*map(str, row))
    console.print(table)
    about = f"{plan.parameters:,} parameters"
    if plan.memory_bytes and plan.time_estimate_s:
        about += f", about {size(plan.memory_bytes)} of memory and {duration(plan.time_estimate_s)}"
    console.print(about, highlight=False)


def draw(job: Job, console: Console) -> None:
    pictures = [job.plot(OUTPUT / f"learning-curve{suffix}") for suffix in (".png", ".svg")]
    console.print(f"learning curve: {' and '.join(map(str, pictures))}", highlight=False, soft_wrap=True)


def ask(job: Job, console: Console) -> None:
    """What the network says of test events that it never saw, beside the truth."""
    console.rule("predict")
    rows = some_events()
    features = [{name: float(row[name]) for name in row if name not in ("label", "split")} for row in rows]
    answer = job.predict(features, output="probability")
    classes = answer.classes or [0, 1]
    signal_at = [str(name) for name in classes].index("1")
    table = Table(box=None, header_style="bold")
    for heading in ("event", "missing energy", "probability of Higgs", "says", "truth"):
        table.add_column(heading, justify="right")
    for number, (row, probabilities) in enumerate(zip(rows, answer.data, strict=True), 1):
        probability = probabilities[signal_at]
        says, truth = (
            "Higgs" if is_signal else "background" for is_signal in (probability >= 0.5, float(row["label"]))
        )
        mark = "[green]right[/]" if says == truth else "[red]wrong[/]"
        table.add_row(
            str(number), row.get("missing_energy_magnitude", "")[:6], f"{probability:.3f}", says, f"{truth}  {mark}"
        )
    console.print(table)


def some_events() -> list[dict[str, str]]:
    """Events of the test part, evenly spaced, signal and background in turn."""
    tested = [row for row in read_events() if row["split"] == "test"]
    kinds = [[row for row in tested if float(row["label"]) == label] for label in (1, 0)]
    spaced = [kind[:: len(kind) * 2 // ASKED_EVENTS] for kind in kinds]
    return [row for pair in zip(*spaced, strict=False) for row in pair][:ASKED_EVENTS]


def read_events() -> Iterator[dict[str, str]]:
    with gzip.open(EVENTS, "rt", newline="") as file:
        yield from csv.DictReader(file)


def show_curl(console: Console) -> None:
    """The same by hand."""
    console.rule("the same with curl")
    console.print("In another terminal [bold].venv/bin/netmill up[/], then:", highlight=False)
    for line in curl_lines():
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def curl_lines(url: str = DEFAULT_URL) -> list[str]:
    """Shell lines, to be run in this folder in their order, that do over HTTP what the demo did."""
    body = f"-H 'Content-Type: application/json' -d @{OUTPUT}/higgs.json"
    print_id = "import json, sys; print(json.load(sys.stdin)['id'])"
    return [
        f"URL={url}",
        f'curl --data-binary @examples/higgs.csv.gz "$URL/v1/datasets?name={DATASET}&format=csv"',
        f'curl {body} "$URL/v1/plan"',
        f'JOB=$(curl {body} "$URL/v1/jobs" | python3 -c "{print_id}")',
        'curl "$URL/v1/jobs/$JOB/metrics?after=0&wait=30"',
        'curl -N -H "Accept: text/event-stream" "$URL/v1/jobs/$JOB/events"  # until the job is over',
        'curl "$URL/v1/jobs/$JOB"',
        f'curl -o {OUTPUT}/learning-curve.svg "$URL/v1/jobs/$JOB/plot.svg"',
        f'curl -o {OUTPUT}/model.onnx "$URL/v1/jobs/$JOB/export?format=onnx"',
    ]


if __name__ == "__main__":
    sys.exit(main())
