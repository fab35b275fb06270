"""MLflow's tracking server against Netmill's API: reading a run with its metrics, by connections that never pause."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, cycle
from pathlib import Path
from typing import Any

from benchmarks.figures import summary
from benchmarks.peers.process import PEERS_PYTHON, Absent
from benchmarks.service.house import house
from benchmarks.service.load import Next, load, request

Address = tuple[str, int]
Requests = Sequence[bytes]
Row = dict[str, Any]

CONNECTIONS = 16
EPOCHS = 20
_METRICS = ("train.loss", "train.accuracy", "validation.loss", "validation.accuracy", "lr")
_BATCH = 1000
_START_S = 90.0
_API = "/api/2.0/mlflow"


def measure(folder: Path, repeats: int, seconds: float) -> list[Row]:
    """Reads a second of both, in turn; and the metric points a second that `log-batch` takes."""
    rows: dict[str, Row] = {
        name: {"part": part, "peer": name, "title": title}
        for name, part, title in (
            ("netmill", "polling", "Netmill, a job and its metrics in turn"),
            ("mlflow", "polling", "MLflow's server, a run and a metric's history in turn"),
            ("mlflow_log_batch", "logging", f"MLflow's server, log-batch of {_BATCH:,} points"),
        )
    }
    samples: dict[str, list[float]] = {name: [] for name in rows}
    with house() as ours:
        job_id = ours.start(rows=EPOCHS)
        reads = [ours.get(f"/v1/jobs/{job_id}"), ours.get(f"/v1/jobs/{job_id}/metrics")]
        asked: dict[str, tuple[Address, Requests]] = {"netmill": (ours.address, reads)}
        try:
            with _server(folder) as address:
                run, batches = _run(address), count()
                asked["mlflow"] = (address, _reads(run))
                for _ in range(repeats):
                    for name, (where, requests) in asked.items():
                        samples[name].append(_per_s(where, requests, CONNECTIONS, seconds))
                    samples["mlflow_log_batch"].append(_points_per_s(address, run, batches, seconds))
        except Absent as why:
            rows["mlflow"]["absent"] = rows["mlflow_log_batch"]["absent"] = str(why)
            samples["netmill"] = [_per_s(*asked["netmill"], CONNECTIONS, seconds) for _ in range(repeats)]
    for name, row in rows.items():
        if "absent" not in row:
            row |= {"per_s": summary(samples[name]), "samples_per_s": [round(each, 1) for each in samples[name]]}
    return list(rows.values())


def _per_s(address: Address, requests: Requests, connections: int, seconds: float) -> float:
    """Answers a second, the requests of each connection being sent in turn."""
    turns = [cycle(requests) for _ in range(connections)]
    return _answers_per_s(address, lambda number, _: next(turns[number]), connections, seconds)


def _points_per_s(address: Address, run: str, batches: Iterator[int], seconds: float) -> float:
    """Points a second that one connection logs in batches; every point is a new step, as a training's are."""
    return _BATCH * _answers_per_s(address, lambda _, __: _batch(run, next(batches)), 1, seconds)


def _answers_per_s(address: Address, following: Next, connections: int, seconds: float) -> float:
    """Answers a second; one that is not a 200 is an error."""
    answers = load(address, following, connections=connections, seconds=seconds)
    if set(answers.statuses) != {"200"}:
        raise RuntimeError(f"received the statuses {dict(answers.statuses)}, expected 200 alone")
    return len(answers.latencies) / answers.seconds


@contextmanager
def _server(folder: Path) -> Iterator[Address]:
    """MLflow's server with one process on SQLite; Absent when it does not come up."""
    if not PEERS_PYTHON.exists():
        raise Absent("its environment is not there: run make bench, which sets it up")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = ("127.0.0.1", int(free.getsockname()[1]))
    given = {"--port": str(address[1]), "--workers": "1", "--backend-store-uri": f"sqlite:///{folder}/mlflow.db"}
    given |= {"--artifacts-destination": f"{folder}/artifacts", "--host": address[0]}
    command = [str(PEERS_PYTHON), "-m", "mlflow", "server", *(word for pair in given.items() for word in pair)]
    with (folder / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            start_new_session=True,
        )
        try:
            _until_ready(process, address)
            yield address
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)


def _until_ready(process: subprocess.Popen[bytes], address: Address) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise Absent(f"mlflow server ended with {process.returncode}")
        try:
            urllib.request.urlopen(f"http://{address[0]}:{address[1]}/health", timeout=2)
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise Absent(f"mlflow server did not answer within {_START_S:.0f} s")


def _post(address: Address, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    asked = urllib.request.Request(
        f"http://{address[0]}:{address[1]}{_API}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            told: dict[str, Any] = json.loads(answer.read())
            return told
    except urllib.error.HTTPError as fault:
        raise Absent(f"mlflow answered {path} by {fault.code}") from fault


def _run(address: Address) -> str:
    """A run with as many metrics as a job of 20 epochs has."""
    run: str = _post(address, "/runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
    points = [_point(name, epoch) for epoch in range(EPOCHS) for name in _METRICS]
    _post(address, "/runs/log-batch", {"run_id": run, "metrics": points})
    return run


def _reads(run: str) -> Requests:
    history = f"{_API}/metrics/get-history?run_id={run}&metric_key={_METRICS[0]}"
    return [request("GET", f"{_API}/runs/get?run_id={run}"), request("GET", history)]


def _batch(run: str, number: int) -> bytes:
    points = [_point("step.loss", number * _BATCH + place) for place in range(_BATCH)]
    body = json.dumps({"run_id": run, "metrics": points}).encode()
    return request("POST", f"{_API}/runs/log-batch", body=body)


def _point(name: str, step: int) -> dict[str, Any]:
    return {"key": name, "value": 1 / (step + 1), "timestamp": 1000 + step, "step": step}
