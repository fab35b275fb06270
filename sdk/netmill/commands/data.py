"""Commands about data sets, plans, predictions and files to take away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from netmill.commands.jobs import SpecFile
from netmill.commands.shared import JobId, Session, command, read_spec
from netmill.errors import NotFoundError
from netmill.follow import told
from netmill.job import ExportFormat, Job
from netmill.models import Dataset, Plan, PlannedLayer
from netmill.rows import read_question
from netmill.words import duration, size

FORMAT_NAMES = "csv, parquet, npz, npy, root or hdf5"
EXPORT_SUFFIX = {"safetensors": ".safetensors", "onnx": ".onnx", "torch_export": ".pt2"}


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    for name, function in (
        ("plan", plan),
        ("upload", upload),
        ("datasets", datasets),
        ("predict", predict),
        ("export", export),
        ("download", download),
        ("zoo", zoo),
    ):
        command(app, name)(function)


def plan(session: Session, spec: SpecFile) -> None:
    """Check a spec without training: every layer, size and time, or every fault."""
    planned = session.client.plan(read_spec(spec))
    if session.json:
        session.emit(planned.model_dump(mode="json"))
        return
    session.table(["layer", "type", "output", "parameters"], plan_rows(planned))
    facts = [f"{planned.parameters:,} parameters"]
    if planned.memory_bytes is not None:
        facts.append(f"about {size(planned.memory_bytes)} of memory")
    if planned.time_estimate_s is not None:
        facts.append(f"about {duration(planned.time_estimate_s)}")
    session.say(", ".join(facts))
    for warned in planned.warnings:
        session.say(told(warned))


def plan_rows(planned: Plan) -> list[list[Any]]:
    """One row a layer: index, type, output shape, parameters; what a block holds is set in below it."""

    def rows(layer: PlannedLayer, index: str) -> list[list[Any]]:
        shape = " x ".join(map(str, layer.output_shape))
        row = [index, layer.type, shape, f"{layer.parameters:,}"]
        return [row, *(each for n, child in enumerate(layer.children) for each in rows(child, f"{index}.{n}"))]

    return [row for layer in planned.layers for row in rows(layer, str(layer.index))]


Keys = list[str] | None


def upload(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help=f"{FORMAT_NAMES}.")],
    name: Annotated[str | None, typer.Option(help="Name of the data set; else the file's.")] = None,
    format_: Annotated[str | None, typer.Option("--format", help=f"{FORMAT_NAMES}; else by the name.")] = None,
    *,
    tree: Annotated[Keys, typer.Option(help="ROOT: tree to read; several are put below each other.")] = None,
    label: Annotated[Keys, typer.Option(help="ROOT, HDF5: the class of each tree, table or x, in order.")] = None,
    x: Annotated[Keys, typer.Option("--x", help="HDF5: key of the inputs.")] = None,
    y: Annotated[Keys, typer.Option("--y", help="HDF5: key of the targets.")] = None,
    weight: Annotated[Keys, typer.Option(help="HDF5: key of event weights.")] = None,
    split: Annotated[Keys, typer.Option(help="HDF5: key of train, validation or test.")] = None,
    table: Annotated[Keys, typer.Option(help="HDF5: a compound data set, or a group of columns.")] = None,
    channels: Annotated[str | None, typer.Option(help="first or last: where images have that axis.")] = None,
) -> None:
    """Store a file as a data set."""
    columns = (TextColumn("upload"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    hidden = session.json or not session.err.is_terminal
    named = {"tree": tree, "label": label, "x": x, "y": y, "weight": weight, "split": split, "table": table}
    parts: dict[str, Any] = {key: value or None for key, value in named.items()} | {"channels": channels}
    with Progress(*columns, console=session.err, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=file.stat().st_size)
        stored = session.client.upload(
            file,
            name=name,
            format=format_,
            on_bytes=lambda sent, total: bar.update(task, completed=sent, total=total),
            **parts,
        )
    if session.json:
        session.emit(stored.model_dump(mode="json"))
        return
    session.out.print(stored.id, highlight=False)
    session.say(f"{stored.name}: {stored.rows} rows, {_columns(stored)}")
    for note in stored.notes:
        session.say(f"note: {note}")


def datasets(session: Session) -> None:
    """List data sets, the built-in ones too."""
    found = list(session.client.datasets())
    if session.json:
        session.emit([one.model_dump(mode="json") for one in found])
        return
    rows = [[one.id, one.name, one.rows, _columns(one), "built in" if one.builtin else ""] for one in found]
    session.table(["id", "name", "rows", "columns", ""], rows)


def predict(
    session: Session,
    job_id: JobId,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", exists=True, dir_okay=False, help="csv, json or jsonl rows; none for samples."
        ),
    ] = None,
    *,
    output: Annotated[
        str, typer.Option(help="prediction, probability, encoding, reconstruction, error or sample.")
    ] = "prediction",
    checkpoint: Annotated[str, typer.Option(help="best, last or an id.")] = "best",
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many samples to draw.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
) -> None:
    """Ask a trained model about the rows of a file, or for new samples; one answer a line."""
    job = session.client.job(job_id)
    if output == "sample":
        answer = job.sample(number, seed=seed, checkpoint=checkpoint)
    elif file is None:
        raise typer.BadParameter(f"{output} needs a FILE of rows", param_hint="FILE")
    else:
        question = read_question(file, _column_types(session, job))
        answer = job.predict(question.rows, inputs=question.inputs, output=output, checkpoint=checkpoint)
    if session.json:
        session.emit(answer.model_dump(mode="json"))
        return
    for value in answer.data:
        session.out.print(
            value if isinstance(value, str) else json.dumps(value), markup=False, highlight=False, soft_wrap=True
        )


def export(
    session: Session,
    job_id: JobId,
    format_: Annotated[str, typer.Option("--format", help="safetensors, onnx or torch_export.")] = "safetensors",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; else by the job's id.")] = None,
) -> None:
    """Write a model, its preprocessing and spec inside, to a file."""
    if format_ not in EXPORT_SUFFIX:
        raise ValueError(f"--format is one of {', '.join(EXPORT_SUFFIX)}, not {format_!r}")
    target = out or Path(f"{job_id}{EXPORT_SUFFIX[format_]}")
    _written(session, session.client.job(job_id).export(target, cast("ExportFormat", format_)))


def download(
    session: Session,
    job_id: JobId,
    checkpoint: Annotated[str, typer.Option(help="best, last or an id.")] = "best",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; else by the job's id.")] = None,
) -> None:
    """Write a checkpoint's weights to a safetensors file, its sha256 checked."""
    target = out or Path(f"{job_id}-{checkpoint}.safetensors")
    _written(session, session.client.job(job_id).download(target, checkpoint))


def zoo(
    session: Session, name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print this one's spec.")] = None
) -> None:
    """List ready specs, or print one to be trained: netmill zoo NAME | netmill train -."""
    if name:
        session.emit(session.client.zoo_spec(name))
        return
    found = session.client.zoo()
    if session.json:
        session.emit(found)
        return
    session.table(["name", "title"], [[one.get("name"), one.get("title", "")] for one in found])


def _written(session: Session, path: Path) -> None:
    if session.json:
        session.emit({"path": str(path), "bytes": path.stat().st_size})
    else:
        session.out.print(str(path), highlight=False, soft_wrap=True)


def _columns(dataset: Dataset) -> str:
    if dataset.columns:
        return f"{len(dataset.columns)} columns"
    return ", ".join(f"{array.get('name')} {array.get('shape')}" for array in dataset.arrays)


def _column_types(session: Session, job: Job) -> dict[str, str]:
    """Types of the columns that the job was trained on; none when the data set is gone by now."""
    name = (job.spec.get("data") or {}).get("dataset")
    try:
        dataset = session.client.dataset(name) if name else None
    except NotFoundError:
        return {}
    return {column["name"]: column["type"] for column in dataset.columns} if dataset else {}
